//! The C face: `include/untold.h`, made from this file alone.
//!
//! Opaque handles, integers, and buffers that carry their length; nothing here needs a terminating zero. A function that
//! can fail gives a status; [`untold_last_error`] has the words. Panics are trapped in one place and become a status, too.
#![allow(non_camel_case_types, reason = "the names are C's")]

mod callbacks;
mod memory;
mod trap;

use std::{ffi::c_void, ptr};

use crate::{
    Inspector, Request,
    io::{
        FindOwner, Handle, Options, foreign,
        outbox::{Delivery, outbox},
    },
};
use callbacks::Callbacks;
use memory::{NULL, array, required, required_mut, texts};
use trap::{Fault, call};

/// What a call came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum untold_status {
    /// It did what it says.
    UNTOLD_OK = 0,
    /// A text of the person's cannot be used; the error names file, line and column.
    UNTOLD_CONFIG = 1,
    /// Another argument cannot be used.
    UNTOLD_ARGUMENT = 2,
    /// The machine refuses.
    UNTOLD_MACHINE = 3,
    /// A fault of the library's.
    UNTOLD_FAULT = 4,
}

/// Bytes of somebody else's. `data` may be null where `len` is 0. Texts are UTF-8.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct untold_bytes {
    /// The first of them.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

/// Bytes that the library made: give them back to untold_buffer_free.
#[repr(C)]
pub struct untold_buffer {
    /// The first of them.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

/// What judging stands on; read during the call, kept by nobody.
#[repr(C)]
pub struct untold_rules {
    /// Text of the identity file; empty: none.
    pub identity: untold_bytes,
    /// Text of the policy file; empty: every default.
    pub policy: untold_bytes,
    /// Text of the file of answers "always"; empty: none.
    pub answers: untold_bytes,
    /// Texts of the policy's lists, in its order.
    pub lists: *const untold_bytes,
    /// How many lists.
    pub list_count: usize,
    /// Texts of the policy's password files, in its order.
    pub passwords: *const untold_bytes,
    /// How many.
    pub password_count: usize,
    /// 32 bytes that findings are hashed with. Keep them, and hashes stay comparable.
    pub hash_key: untold_bytes,
}

/// A header field of a request.
#[repr(C)]
pub struct untold_header {
    /// Its name.
    pub name: untold_bytes,
    /// Its value.
    pub value: untold_bytes,
}

/// How an engine runs.
#[repr(C)]
pub struct untold_options {
    /// Largest packet that the device takes, in bytes: 1280 to 65535.
    pub mtu: i32,
    /// Packets that the device queues towards the engine (txqueuelen).
    pub queue: i32,
    /// Addresses inside the tunnel at which DNS is answered.
    pub dns: *const untold_bytes,
    /// How many.
    pub dns_count: usize,
    /// Where those questions go: "address" or "address:port".
    pub resolvers: *const untold_bytes,
    /// How many.
    pub resolver_count: usize,
    /// Whether somebody answers questions.
    pub can_ask: bool,
}

/// What an engine calls, from threads of its own, until untold_engine_stop has returned. Each may be null.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct untold_callbacks {
    /// Given to each call.
    pub context: *mut c_void,
    /// Keeps a socket out of the tunnel; where it answers false, the socket is closed and never used.
    pub protect: Option<unsafe extern "C" fn(context: *mut c_void, fd: i32) -> bool>,
    /// Writes the names of the app whose flow this is into `names`, one a line, and returns how many bytes; 0 where
    /// unknown, as it counts after 250 ms. `proto` is the number of IP.
    pub owner: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            proto: i32,
            src: untold_bytes,
            src_port: u16,
            dst: untold_bytes,
            dst_port: u16,
            names: *mut u8,
            room: usize,
        ) -> usize,
    >,
    /// Gets events, a JSON object a line. Where it is too slow, the oldest flow events are lost, and counted.
    pub events: Option<unsafe extern "C" fn(context: *mut c_void, lines: untold_bytes)>,
    /// The last call: the engine has ended, by itself with a reason, or by untold_engine_stop with none.
    pub stopped: Option<unsafe extern "C" fn(context: *mut c_void, reason: untold_bytes)>,
}

/// Inspects messages, without a tunnel. May be used by several threads at a time.
pub struct untold_inspector(Inspector);

/// A firewall on a tun descriptor. May be used by several threads at a time, but stopped by one.
pub struct untold_engine {
    handle: Handle,
    delivery: Delivery,
    hash_key: [u8; 32],
}

/// The version of the library.
#[unsafe(no_mangle)]
pub extern "C" fn untold_version() -> untold_bytes {
    untold_bytes::of(env!("CARGO_PKG_VERSION").as_bytes())
}

/// Why the calling thread's last call failed, in one line; valid until its next call.
#[unsafe(no_mangle)]
pub extern "C" fn untold_last_error() -> untold_bytes {
    trap::last_error()
}

/// Gives back what a call made.
///
/// # Safety
/// `buffer` is null or points to a buffer that this library filled in, or to one of zeros.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_buffer_free(buffer: *mut untold_buffer) {
    // SAFETY: the caller's promise.
    if let Some(buffer) = unsafe { buffer.as_mut() }
        && !buffer.data.is_null()
    {
        let bytes = ptr::slice_from_raw_parts_mut(buffer.data, buffer.len);
        // SAFETY: it is a boxed slice, from `untold_buffer::fill`, and nobody's from here on.
        drop(unsafe { Box::from_raw(bytes) });
        *buffer = untold_buffer::EMPTY;
    }
}

/// Makes an inspector.
///
/// # Safety
/// Every pointer is valid, with the length beside it, during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_inspector_new(
    rules: *const untold_rules,
    inspector: *mut *mut untold_inspector,
) -> untold_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (rules, inspector) = unsafe { (required(rules)?, required_mut(inspector)?) };
        // SAFETY: as above.
        let (rules, _) = unsafe { rules.read() }?;
        *inspector = Box::into_raw(Box::new(untold_inspector(Inspector::new(rules))));
        Ok(())
    })
}

/// Inspects a request before it is sent. `inspection` becomes a JSON object: `verdict`, `rule`, `approved`, `findings`
/// (see docs/events.md) and `opaque`.
///
/// # Safety
/// As untold_inspector_new; `inspector` is not freed before the call ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_inspector_request(
    inspector: *const untold_inspector,
    method: untold_bytes,
    url: untold_bytes,
    headers: *const untold_header,
    header_count: usize,
    body: untold_bytes,
    inspection: *mut untold_buffer,
) -> untold_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (inspector, inspection) = unsafe { (required(inspector)?, required_mut(inspection)?) };
        // SAFETY: as above.
        let headers: Result<Vec<_>, Fault> = unsafe { array(headers, header_count) }
            .iter()
            // SAFETY: as above.
            .map(|header| Ok(unsafe { (header.name.text()?, header.value.text()?) }))
            .collect();
        // SAFETY: as above.
        let (method, url, body) = unsafe { (method.text()?, url.text()?, body.get()) };
        inspection.fill(&inspector.0.request(&Request {
            method,
            url,
            headers: &headers?,
            body: &[body],
        }))
    })
}

/// Inspects what one side of a flow sent, from its first byte to its last, or one datagram. `proto` is the number of IP
/// (6, 17 or 1), `to` is "host:port", `inspection` as for untold_inspector_request.
///
/// # Safety
/// As untold_inspector_request.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_inspector_bytes(
    inspector: *const untold_inspector,
    proto: i32,
    to: untold_bytes,
    bytes: untold_bytes,
    inspection: *mut untold_buffer,
) -> untold_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (inspector, inspection) = unsafe { (required(inspector)?, required_mut(inspection)?) };
        // SAFETY: as above.
        let (to, bytes) = unsafe { (to.text()?, bytes.get()) };
        let to = to.parse().map_err(|_| "the destination is host:port")?;
        inspection.fill(&inspector.0.bytes(foreign::proto(proto)?, &to, bytes))
    })
}

/// Frees an inspector, or nothing.
///
/// # Safety
/// `inspector` is null, or comes from untold_inspector_new and is used by nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_inspector_free(inspector: *mut untold_inspector) {
    if !inspector.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(inspector) });
    }
}

/// Starts an engine. It takes `tun` over (a descriptor that carries one IP packet a read), whatever comes of the call.
///
/// # Safety
/// As untold_inspector_new; the callbacks may be called from any thread, with their context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_engine_start(
    tun: i32,
    options: *const untold_options,
    rules: *const untold_rules,
    callbacks: *const untold_callbacks,
    engine: *mut *mut untold_engine,
) -> untold_status {
    call(|| {
        let tun = foreign::adopt(tun)?;
        // SAFETY: the caller's promise.
        let (options, rules) = unsafe { (required(options)?, required(rules)?) };
        // SAFETY: as above.
        let (callbacks, engine) = unsafe { (required(callbacks)?, required_mut(engine)?) };
        // SAFETY: as above.
        let dns = unsafe { texts(options.dns, options.dns_count) }?;
        // SAFETY: as above.
        let resolvers = unsafe { texts(options.resolvers, options.resolver_count) }?;
        let config = foreign::config(
            options.mtu,
            options.queue,
            &dns,
            &resolvers,
            options.can_ask,
        )?;
        // SAFETY: as above.
        let (rules, hash_key) = unsafe { rules.read() }?;
        let callbacks = Callbacks(*callbacks);
        let (inlet, outbox) = outbox();
        let handle = Handle::start(
            tun,
            Options {
                config,
                rules,
                protect: Box::new(callbacks),
                owners: callbacks
                    .0
                    .owner
                    .map(|_| Box::new(callbacks) as Box<dyn FindOwner>),
                events: Box::new(move |event| inlet.push(event)),
                record: None,
                sink: None,
            },
        )?;
        let delivery = outbox.deliver(Box::new(callbacks))?;
        *engine = Box::into_raw(Box::new(untold_engine {
            handle,
            delivery,
            hash_key,
        }));
        Ok(())
    })
}

/// Swaps the rules between two packets. On an error those in force stay; the hash key stays in any case.
///
/// # Safety
/// As untold_inspector_new; `engine` is not stopped before the call ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_engine_set_rules(
    engine: *const untold_engine,
    rules: *const untold_rules,
) -> untold_status {
    call(|| {
        // SAFETY: the caller's promise.
        let (engine, rules) = unsafe { (required(engine)?, required(rules)?) };
        // SAFETY: as above.
        let rules = unsafe { rules.sources()?.rules(&engine.hash_key) }?;
        engine.handle.set_rules(rules);
        Ok(())
    })
}

/// Passes on a person's answer. `scope`: 0 once, 1 this flow, 2 a quarter of an hour, 3 always.
///
/// # Safety
/// `engine` comes from untold_engine_start and is not stopped before the call ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_engine_answer(
    engine: *const untold_engine,
    question: u64,
    allow: bool,
    scope: i32,
) -> untold_status {
    call(|| {
        // SAFETY: the caller's promise.
        let engine = unsafe { required(engine) }?;
        engine
            .handle
            .answer(question, foreign::answer(allow, scope)?);
        Ok(())
    })
}

/// Ends every flow, delivers the last events, waits for every callback under way, closes the descriptor and frees the
/// engine: afterwards no thread of it is left. Not from a callback.
///
/// # Safety
/// `engine` comes from untold_engine_start and is used by nobody else any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn untold_engine_stop(engine: *mut untold_engine) -> untold_status {
    call(|| {
        if Callbacks::is_inside() {
            return Err("an engine cannot be stopped from its callback".into());
        }
        if engine.is_null() {
            return Err(NULL.into());
        }
        // SAFETY: the caller's promise.
        let engine = unsafe { Box::from_raw(engine) };
        engine.delivery.expect_end();
        let ended = engine.handle.stop();
        engine.delivery.join();
        Ok(ended?)
    })
}
