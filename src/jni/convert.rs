use std::sync::Arc;

use jni::{
    Env,
    objects::{JByteArray, JObjectArray, JString},
};

use super::trap::Fault;
use crate::inspect::{Rules, Sources};

/// The four arguments that rules are made from.
pub(super) struct Files<'a, 'local> {
    pub(super) identity: &'a JString<'local>,
    pub(super) policy: &'a JString<'local>,
    pub(super) answers: &'a JString<'local>,
    pub(super) named: &'a JObjectArray<'local, JByteArray<'local>>,
}

impl Files<'_, '_> {
    pub(super) fn rules(&self, env: &mut Env<'_>, hash_key: &[u8; 32]) -> Result<Rules, Fault> {
        let [identity, policy, answers] = [self.identity, self.policy, self.answers]
            .map(|text| text.try_to_string(env).map_err(Fault::from));
        let sources = Sources {
            identity: &identity?,
            policy: &policy?,
            answers: &answers?,
            files: byte_arrays(env, self.named)?,
        };
        Ok(sources.rules(hash_key)?)
    }
}

pub(super) fn hash_key(env: &Env<'_>, key: &JByteArray<'_>) -> Result<[u8; 32], Fault> {
    env.convert_byte_array(key)?
        .try_into()
        .map_err(|_| Fault::Argument("the hash key has 32 bytes"))
}

pub(super) fn byte_arrays<'local>(
    env: &mut Env<'_>,
    array: &JObjectArray<'local, JByteArray<'local>>,
) -> Result<Vec<Vec<u8>>, Fault> {
    let mut bytes = Vec::new();
    for index in 0..array.len(env)? {
        let element = array.get_element(env, index)?;
        bytes.push(env.convert_byte_array(&element)?);
        env.delete_local_ref(element);
    }
    Ok(bytes)
}

pub(super) fn optional(
    env: &mut Env<'_>,
    text: &JString<'_>,
) -> Result<Option<String>, jni::errors::Error> {
    if text.is_null() {
        return Ok(None);
    }
    text.try_to_string(env).map(Some)
}

pub(super) fn strings<'local>(
    env: &mut Env<'_>,
    array: &JObjectArray<'local, JString<'local>>,
) -> Result<Vec<String>, jni::errors::Error> {
    let mut strings = Vec::new();
    for index in 0..array.len(env)? {
        let element = array.get_element(env, index)?;
        strings.push(element.try_to_string(env)?);
        env.delete_local_ref(element);
    }
    Ok(strings)
}

pub(super) fn names<'local>(
    env: &mut Env<'_>,
    array: &JObjectArray<'local, JString<'local>>,
) -> Result<Vec<Arc<str>>, jni::errors::Error> {
    Ok(strings(env, array)?.into_iter().map(Arc::from).collect())
}
