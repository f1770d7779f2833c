//! What C's pointers are to Rust: the one place that follows them.

use std::{io, ptr, slice, str::Utf8Error};

use super::{trap::Fault, untold_buffer, untold_bytes, untold_rules};
use crate::inspect::{Rules, Sources};

impl untold_bytes {
    pub(super) fn of(bytes: &[u8]) -> Self {
        untold_bytes {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// # Safety
    /// `data` is null, or has `len` bytes for as long as the result is used.
    pub(super) unsafe fn get<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { array(self.data, self.len) }
    }

    /// # Safety
    /// As [`get`](Self::get).
    pub(super) unsafe fn text<'a>(self) -> Result<&'a str, Utf8Error> {
        // SAFETY: the caller's promise.
        str::from_utf8(unsafe { self.get() })
    }
}

impl untold_buffer {
    pub(super) const EMPTY: untold_buffer = untold_buffer {
        data: ptr::null_mut(),
        len: 0,
    };

    pub(super) fn fill(&mut self, inspection: &crate::Inspection) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(inspection).map_err(io::Error::from)?;
        self.len = bytes.len();
        self.data = Box::into_raw(bytes.into_boxed_slice()).cast();
        Ok(())
    }
}

impl untold_rules {
    /// # Safety
    /// Every pointer is valid, with the length beside it.
    pub(super) unsafe fn sources(&self) -> Result<Sources<'_>, Fault> {
        // SAFETY: the caller's promise.
        let lists = unsafe { array(self.lists, self.list_count) };
        // SAFETY: as above.
        let passwords = unsafe { array(self.passwords, self.password_count) };
        // SAFETY: as above.
        let files = lists
            .iter()
            .chain(passwords)
            .map(|file| unsafe { file.get() }.to_vec())
            .collect();
        // SAFETY: as above.
        unsafe {
            Ok(Sources {
                identity: self.identity.text()?,
                policy: self.policy.text()?,
                answers: self.answers.text()?,
                files,
            })
        }
    }

    /// # Safety
    /// As [`sources`](Self::sources).
    pub(super) unsafe fn read(&self) -> Result<(Rules, [u8; 32]), Fault> {
        // SAFETY: the caller's promise.
        let key = unsafe { self.hash_key.get() };
        let key = key.try_into().map_err(|_| "the hash key has 32 bytes")?;
        // SAFETY: as above.
        Ok((unsafe { self.sources() }?.rules(&key)?, key))
    }
}

/// # Safety
/// `data` is null, or has `len` elements for as long as the result is used.
pub(super) unsafe fn array<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(data, len) }
}

/// # Safety
/// As [`array`], and so is each element.
pub(super) unsafe fn texts(
    data: *const untold_bytes,
    len: usize,
) -> Result<Vec<String>, Utf8Error> {
    // SAFETY: the caller's promise.
    let texts = unsafe { array(data, len) };
    // SAFETY: as above.
    let text = |bytes: &untold_bytes| unsafe { bytes.text() }.map(str::to_owned);
    texts.iter().map(text).collect()
}

/// # Safety
/// The pointer is null, or valid for as long as the result is used.
pub(super) unsafe fn required<'a, T>(pointer: *const T) -> Result<&'a T, &'static str> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or(NULL)
}

/// # Safety
/// As [`required`], and nobody else's.
pub(super) unsafe fn required_mut<'a, T>(pointer: *mut T) -> Result<&'a mut T, &'static str> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_mut() }.ok_or(NULL)
}

pub(super) const NULL: &str = "a pointer is null";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_read_after_the_lists() {
        let [policy, list, password] = [
            "[[list]]\nname = \"ads\"\nsource = \"ads.txt\"\nformat = \"domains\"\naction = \"block\"\n\
             [[proxy]]\nname = \"office\"\ntype = \"http\"\naddress = \"192.0.2.1:3128\"\nuser = \"ada\"\n\
             password_file = \"office.pass\"\n",
            "tracker.example\n",
            "hunter2\n",
        ]
        .map(|text| untold_bytes::of(text.as_bytes()));
        let none = untold_bytes::of(&[]);
        let mut rules = untold_rules {
            identity: none,
            policy,
            answers: none,
            lists: &raw const list,
            list_count: 1,
            passwords: &raw const password,
            password_count: 1,
            hash_key: untold_bytes::of(&[7; 32]),
        };
        // SAFETY: every pointer is to something above, with its length.
        let read = unsafe { rules.read() };
        let (read, _) = read.unwrap_or_else(|_| panic!("it is a good policy"));
        let (proxy, _) = read.policy.proxies().next().expect("there is one");
        assert!(proxy.login.is_some());
        rules.password_count = 0;
        // SAFETY: as above.
        assert!(unsafe { rules.read() }.is_err());
    }
}
