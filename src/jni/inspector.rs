use jni::{
    Env, EnvUnowned, jni_mangle,
    objects::{JByteArray, JClass, JObjectArray, JString},
    sys::{jint, jlong},
};

use super::{
    convert::{Files, hash_key, strings},
    table::Table,
    trap::{Fault, call},
};
use crate::{Inspection, Inspector, Request, io::foreign};

static INSPECTORS: Table<Inspector> = Table::new();

/// `Native.inspectorNew`
#[jni_mangle("org.untold.internal.Native")]
pub fn inspector_new<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    identity: JString<'local>,
    policy: JString<'local>,
    answers: JString<'local>,
    named: JObjectArray<'local, JByteArray<'local>>,
    key: JByteArray<'local>,
) -> jlong {
    let files = Files {
        identity: &identity,
        policy: &policy,
        answers: &answers,
        named: &named,
    };
    call(env, |env| {
        let key = hash_key(env, &key)?;
        Ok(INSPECTORS.insert(Inspector::new(files.rules(env, &key)?)))
    })
}

/// `Native.inspectorRequest`
#[jni_mangle("org.untold.internal.Native")]
pub fn inspector_request<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    method: JString<'local>,
    url: JString<'local>,
    headers: JObjectArray<'local, JString<'local>>,
    body: JByteArray<'local>,
) -> JByteArray<'local> {
    call(env, |env| {
        let headers = strings(env, &headers)?;
        let (pairs, []) = headers.as_chunks() else {
            return Err(Fault::Argument("headers alternate names and values"));
        };
        let headers: Vec<_> = pairs
            .iter()
            .map(|[name, value]| (&**name, &**value))
            .collect();
        let inspection = INSPECTORS.get(handle)?.request(&Request {
            method: &method.try_to_string(env)?,
            url: &url.try_to_string(env)?,
            headers: &headers,
            body: &[&env.convert_byte_array(&body)?],
        });
        json(env, &inspection)
    })
}

/// `Native.inspectorBytes`
#[jni_mangle("org.untold.internal.Native")]
pub fn inspector_bytes<'local>(
    env: EnvUnowned<'local>,
    _: JClass<'local>,
    handle: jlong,
    number: jint,
    to: JString<'local>,
    bytes: JByteArray<'local>,
) -> JByteArray<'local> {
    call(env, |env| {
        let wrong = |_| Fault::Argument("the destination is host:port");
        let to = to.try_to_string(env)?.parse().map_err(wrong)?;
        let bytes = env.convert_byte_array(&bytes)?;
        let inspection = INSPECTORS
            .get(handle)?
            .bytes(foreign::proto(number)?, &to, &bytes);
        json(env, &inspection)
    })
}

/// `Native.inspectorFree`
#[jni_mangle("org.untold.internal.Native")]
pub fn inspector_free<'local>(env: EnvUnowned<'local>, _: JClass<'local>, handle: jlong) {
    call(env, |_| INSPECTORS.remove(handle).map(drop))
}

fn json<'local>(
    env: &mut Env<'local>,
    inspection: &Inspection,
) -> Result<JByteArray<'local>, Fault> {
    let text = serde_json::to_vec(inspection).map_err(std::io::Error::from)?;
    Ok(env.byte_array_from_slice(&text)?)
}
