package org.untold.app.data

import android.content.pm.PackageManager
import android.graphics.drawable.Drawable

/** What apps are called. */
class Apps(private val packages: PackageManager) {
    /** The label of a package; the name as it is where there is none; null for an unknown owner. */
    fun labelOf(app: String?): String? = app?.let {
        try {
            packages.getApplicationLabel(packages.getApplicationInfo(it, 0)).toString()
        } catch (absent: PackageManager.NameNotFoundException) {
            it
        }
    }

    /** The icon of a package, where there is one. */
    fun iconOf(app: String?): Drawable? = app?.let {
        try {
            packages.getApplicationIcon(it)
        } catch (absent: PackageManager.NameNotFoundException) {
            null
        }
    }
}
