//! From the values given to values that can be used.
//!
//! Each rule says what kcptun 20210624 (kcp-go 5.6.1, smux 1.5.16), or the version the option came
//! with, does with the value. What it starts with is kept, with a warning; what makes it exit,
//! crash or never carry a byte is a problem.
//!
//! Nobody gets a configuration once there is a problem. So where a value could not be used, anything
//! may stand in its place; `None` where rules about several values must know.

mod addresses;
mod operation;
mod tunnel;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ClientConfig, CommonConfig, ServerConfig};
use crate::given::Given;
use crate::values::Values;

pub(crate) fn client(values: &mut Values) -> Option<ClientConfig> {
    let listen = addresses::listen(values);
    let remote = addresses::address(values, "remoteaddr");
    let conn = operation::conn(values);
    let auto_expire = operation::seconds(values, "autoexpire");
    let scavenge_ttl = operation::seconds(values, "scavengettl");
    operation::check_expiry(values, auto_expire, scavenge_ttl);
    let common = common(values);
    Some(ClientConfig {
        listen: listen?,
        remote: remote?,
        conn,
        auto_expire: auto_expire.filter(|time| !time.is_zero()),
        scavenge_ttl: scavenge_ttl.unwrap_or_default(),
        common,
    })
}

pub(crate) fn server(values: &mut Values) -> Option<ServerConfig> {
    let shards = operation::shards(values);
    let listen = addresses::bind(values, shards);
    let target = addresses::target(values);
    let common = common(values);
    Some(ServerConfig { listen: listen?, target: target?, shards, common })
}

fn common(values: &mut Values) -> CommonConfig {
    let key = tunnel::key(values);
    let crypt = tunnel::crypt(values);
    let compression = !values.boolean("nocomp");
    let smux_version = tunnel::smux_version(values);
    let (mode, timing) = tunnel::timing(values);
    let send_window = tunnel::window(values, "sndwnd");
    let receive_window = tunnel::window(values, "rcvwnd");
    let fec = tunnel::fec(values);
    let mtu = tunnel::mtu(values, &crypt, fec);
    let rate_limit = operation::rate_limit(values);
    let ack_nodelay = values.boolean("acknodelay");
    let keepalive = values.bounded("keepalive", 1, 30).unwrap_or_default();
    let close_wait = operation::seconds(values, "closewait").unwrap_or_default();
    let dscp = tunnel::dscp(values);
    let socket_buffer = tunnel::socket_buffer(values);
    for (name, window) in [("sndwnd", send_window), ("rcvwnd", receive_window)] {
        tunnel::check_window(values, name, window, mtu, socket_buffer);
    }
    let session_buffer = tunnel::memory(values, "smuxbuf");
    let stream_buffer = tunnel::memory(values, "streambuf");
    tunnel::check_buffers(values, session_buffer, stream_buffer);
    let frame_size = tunnel::frame_size(values);
    let quiet = values.boolean("quiet");
    let log = Some(values.raw("log")).filter(|path| !path.is_empty()).map(PathBuf::from);
    let snmp = operation::snmp(values);
    let pprof = addresses::pprof(values);
    let status = addresses::status(values);
    let memory = operation::memory(values);
    operation::accepted(values);
    CommonConfig {
        key,
        crypt,
        mode,
        timing,
        ack_nodelay,
        mtu: mtu.unwrap_or_default(),
        send_window: send_window.unwrap_or_default(),
        receive_window: receive_window.unwrap_or_default(),
        fec,
        rate_limit,
        compression,
        dscp,
        socket_buffer: socket_buffer.unwrap_or_default(),
        smux_version,
        session_buffer: session_buffer.unwrap_or_default(),
        stream_buffer: stream_buffer.unwrap_or_default(),
        frame_size,
        keepalive: Duration::from_secs(keepalive.unsigned_abs()),
        close_wait,
        quiet,
        log,
        snmp,
        pprof,
        status,
        memory,
        given: Given::new(values, mode),
    }
}
