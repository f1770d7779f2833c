package org.untold

/**
 * A file of the person's that cannot be used: where and why. The rules in force stay in force.
 *
 * @property file which of the files: `policy.toml`, `identity.toml`, `answers.toml`, or a list's name
 * @property line from 1; 0 when the file as a whole is at fault
 * @property column in characters, from 1; 0 where there is none
 * @property reason what is wrong and what would be right, in English, for a log or a developer; it quotes no identifier
 */
public class ConfigException(
    public val file: String,
    public val line: Int,
    public val column: Int,
    public val reason: String,
) : Exception("$file:$line:$column: $reason")
