package org.untold.testing

import java.util.Base64

/** The message that the client of 2019 posted at each power-on, with made-up values. */
object Registration {
    /** Whom it was posted to. */
    const val HOST = "zzhc.vnet.cn"

    /** One of the made-up values. */
    const val IMEI = "490154203237518"

    /** What the server answered. */
    const val REPLY = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 41\r\n\r\n{\"resultCode\":\"0\",\"resultDesc\":\"Success\"}"

    private const val JSON = """{"REGVER":"8.0","MEID":"A1000049015420","MODEL":"EXAMPLE-7-PLUS","SWVER":"00WW_3_390",""" +
        """"SIM1CDMAIMSI":"460110123456789","UETYPE":"1","SIM1ICCID":"89860319020123456787","SIM1LTEIMSI":"460110123456789",""" +
        """"SIM1TYPE":"2","MACID":"02:00:5e:10:00:07","OSVER":"Android9","IMEI1":"490154203237518","IMEI2":"356938035643809",""" +
        """"SIM1CELLID":"31604737","ACCESSTYPE":"2","REGDATE":"2019-01-28 07:40:12"}"""

    /** The body: Base64 in lines of 76, LF after each. */
    fun body(): ByteArray = (Base64.getMimeEncoder(76, byteArrayOf('\n'.code.toByte())).encodeToString(JSON.toByteArray()) + "\n").toByteArray()

    /** Head and body, as they went over the wire. */
    fun message(): ByteArray = "POST / HTTP/1.1\r\nContent-Type: application/encrypted-json\r\nContent-Length: ${body().size}\r\nHost: $HOST\r\nConnection: Keep-Alive\r\n\r\n".toByteArray() + body()
}
