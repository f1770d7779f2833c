package org.untold

/** What an identifier is: one of the named kinds, or one that the person named. */
public data class Kind(
    /** The name used in files and events: `imei`, `wifi_mac`, `custom.NAME`. */
    val name: String,
) {
    override fun toString(): String = name

    public companion object {
        /** International mobile equipment identity, of each SIM slot. */
        @JvmField public val IMEI: Kind = Kind("imei")

        /** Mobile equipment identifier of CDMA phones. */
        @JvmField public val MEID: Kind = Kind("meid")

        /** International mobile subscriber identity. */
        @JvmField public val IMSI: Kind = Kind("imsi")

        /** Serial number of the SIM card. */
        @JvmField public val ICCID: Kind = Kind("iccid")

        /** Serial number of the phone. */
        @JvmField public val SERIAL: Kind = Kind("serial")

        /** MAC address of the Wi-Fi interface. */
        @JvmField public val WIFI_MAC: Kind = Kind("wifi_mac")

        /** MAC address of the Bluetooth interface. */
        @JvmField public val BLUETOOTH_MAC: Kind = Kind("bluetooth_mac")

        /** `Settings.Secure.ANDROID_ID`; it differs per app. */
        @JvmField public val ANDROID_ID: Kind = Kind("android_id")

        /** Resettable advertising id. */
        @JvmField public val ADVERTISING_ID: Kind = Kind("advertising_id")

        /** Google Services Framework id. */
        @JvmField public val GSF_ID: Kind = Kind("gsf_id")

        /** Phone number. */
        @JvmField public val PHONE: Kind = Kind("phone")

        /** E-mail address. */
        @JvmField public val EMAIL: Kind = Kind("email")

        /** Account name. */
        @JvmField public val ACCOUNT: Kind = Kind("account")

        /** A pair of coordinates. */
        @JvmField public val LOCATION: Kind = Kind("location")

        /** Cell id of the mobile network. */
        @JvmField public val CELL_ID: Kind = Kind("cell_id")

        /** Tracking or location area code. */
        @JvmField public val TAC: Kind = Kind("tac")

        /** Wi-Fi network name. */
        @JvmField public val SSID: Kind = Kind("ssid")

        /** MAC address of a Wi-Fi access point. */
        @JvmField public val BSSID: Kind = Kind("bssid")

        /** The list of installed apps. */
        @JvmField public val INSTALLED_APPS: Kind = Kind("installed_apps")

        /** All kinds that have a fixed name. */
        @JvmField public val NAMED: List<Kind> = listOf(
            IMEI, MEID, IMSI, ICCID, SERIAL, WIFI_MAC, BLUETOOTH_MAC, ANDROID_ID, ADVERTISING_ID, GSF_ID, PHONE, EMAIL,
            ACCOUNT, LOCATION, CELL_ID, TAC, SSID, BSSID, INSTALLED_APPS,
        )

        /** A kind of the person's own: letters, digits, `_` and `-`. */
        @JvmStatic
        public fun custom(name: String): Kind {
            require(name.isNotEmpty() && name.all { it.isLetterOrDigit() || it in "_-" }) { "not a name: letters, digits, _ and -" }
            return Kind("custom.$name")
        }
    }
}
