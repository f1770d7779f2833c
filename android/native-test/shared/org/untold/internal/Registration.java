package org.untold.internal;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.util.Base64;

/** The registration of 2019, with values of nobody's. */
final class Registration {
    static final String IDENTITY =
            "imei = \"490154203237518\"\niccid = \"89470000000000000009\"\nwifi_mac = \"02:00:00:12:34:56\"\n";
    static final String BLOCK = "[default]\nleak = \"block\"\n";

    static byte[] body() {
        String json = "{\"REGVER\":\"8.0\",\"MEID\":\"\",\"MODEL\":\"NHX-TA-1055\",\"SIM1ICCID\":\"89470000000000000009\","
                + "\"IMEI1\":\"490154203237518\",\"MACID\":\"02:00:00:12:34:56\",\"CELLID\":\"12345678\"}";
        return Base64.getEncoder().encode(json.getBytes(US_ASCII));
    }

    static byte[] request(String host) {
        byte[] body = body();
        String head = "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/encrypted-json\r\n"
                + "Content-Length: " + body.length + "\r\n\r\n";
        return (head + new String(body, US_ASCII)).getBytes(US_ASCII);
    }

    private Registration() {}
}
