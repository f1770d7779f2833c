package org.untold.vpn.internal

import android.content.Context

/** A system service that every device has. */
internal inline fun <reified T : Any> Context.service(): T = checkNotNull(getSystemService(T::class.java))
