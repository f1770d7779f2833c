use jni::{Env, JavaVM, errors::Error, jni_str, objects::JClass, refs::Global};
use once_cell::sync::OnceCell;

/// What is set up once, by the first call that succeeds in it.
pub(super) struct Machine {
    pub(super) vm: JavaVM,
    /// `org.untold.ConfigException`. Looked up early: a thread of ours would not find it, having no class loader.
    pub(super) config_exception: Global<JClass<'static>>,
}

static MACHINE: OnceCell<Machine> = OnceCell::new();

impl Machine {
    pub(super) fn get(env: &mut Env<'_>) -> Result<&'static Machine, Error> {
        MACHINE.get_or_try_init(|| {
            log();
            let class = env.find_class(jni_str!("org/untold/ConfigException"))?;
            Ok(Machine {
                vm: env.get_java_vm()?,
                config_exception: env.new_global_ref(class)?,
            })
        })
    }
}

/// Names of hosts are logged at debug at most, so they never are in a release.
#[cfg(target_os = "android")]
fn log() {
    let level = match cfg!(debug_assertions) {
        true => log::LevelFilter::Debug,
        false => log::LevelFilter::Info,
    };
    let config = android_logger::Config::default();
    android_logger::init_once(config.with_max_level(level).with_tag("untold"));
}

#[cfg(not(target_os = "android"))]
fn log() {}
