package org.untold

/**
 * What is looked for and what is done about it: the texts of the desktop's files.
 *
 * @property identity what must not leave
 * @property policy the policy file (`docs/policy.md`); empty is the default policy, which asks
 * @property answers the file of the person's answers that hold for ever
 * @property lists the texts of the policy's `[[list]]`s, in their order
 * @property passwords the texts of the `password_file`s of the policy's `[[proxy]]`s, in their order
 */
public class Rules @JvmOverloads constructor(
    public val identity: Identity = Identity.EMPTY,
    public val policy: String = "",
    public val answers: String = "",
    public val lists: List<ByteArray> = emptyList(),
    public val passwords: List<String> = emptyList(),
) {
    /** The texts of the files that the policy names, as [org.untold.internal.Native] takes them. */
    internal fun named(): Array<ByteArray> = (lists + passwords.map(String::encodeToByteArray)).toTypedArray()
}
