package org.untold;

/** As the native side makes it. */
public class ConfigException extends Exception {
    private static final long serialVersionUID = 1;

    public final String file;
    public final int line;
    public final int column;

    public ConfigException(String file, int line, int column, String reason) {
        super(reason);
        this.file = file;
        this.line = line;
        this.column = column;
    }
}
