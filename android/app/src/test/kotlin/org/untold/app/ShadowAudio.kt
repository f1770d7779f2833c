package org.untold.app

import android.media.AudioManager
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.shadows.ShadowAudioManager

/** At API 33 every first window asks IAudioService, whose proxy needs a Bluetooth class that Robolectric's API 33 lacks. */
@Implements(AudioManager::class)
class ShadowAudio : ShadowAudioManager() {
    @Implementation(minSdk = 31)
    fun areNavigationRepeatSoundEffectsEnabled() = false

    @Implementation(minSdk = 31)
    fun isHomeSoundEffectEnabled() = false
}
