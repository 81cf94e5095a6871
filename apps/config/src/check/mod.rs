//! From the values given to values that can be used.
//!
//! Each rule says what kcptun 20210624 (kcp-go 5.6.1, smux 1.5.16), or the version the option came
//! with, does with the value. What it starts with is kept, with a warning; what makes it exit,
//! crash or never carry a byte is a problem.

mod addresses;
mod operation;
mod tunnel;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ClientConfig, CommonConfig, ServerConfig};
use crate::start_up::Given;
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
        conn: conn?,
        auto_expire: auto_expire.map(|time| Some(time).filter(|time| !time.is_zero()))?,
        scavenge_ttl: scavenge_ttl?,
        common: common?,
    })
}

pub(crate) fn server(values: &mut Values) -> Option<ServerConfig> {
    let listen = addresses::address(values, "listen");
    let target = addresses::target(values);
    let shards = operation::shards(values);
    let common = common(values);
    Some(ServerConfig { listen: listen?, target: target?, shards: shards?, common: common? })
}

fn common(values: &mut Values) -> Option<CommonConfig> {
    let key = tunnel::key(values);
    let crypt = tunnel::crypt(values);
    let compression = !values.boolean("nocomp");
    let smux_version = tunnel::smux_version(values);
    let (mode, timing) = tunnel::timing(values);
    let send_window = tunnel::window(values, "sndwnd");
    let receive_window = tunnel::window(values, "rcvwnd");
    let fec = tunnel::fec(values);
    let mtu = tunnel::mtu(values, &crypt, fec.flatten());
    let rate_limit = operation::rate_limit(values);
    let ack_nodelay = values.boolean("acknodelay");
    let keepalive = values.bounded("keepalive", 1, 30);
    let close_wait = operation::seconds(values, "closewait");
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
    Some(CommonConfig {
        key,
        crypt,
        mode,
        timing: timing?,
        ack_nodelay,
        mtu: mtu?,
        send_window: send_window?,
        receive_window: receive_window?,
        fec: fec?,
        rate_limit: rate_limit?,
        compression,
        dscp: dscp?,
        socket_buffer: socket_buffer?,
        smux_version: smux_version?,
        session_buffer: session_buffer?,
        stream_buffer: stream_buffer?,
        frame_size: frame_size?,
        keepalive: Duration::from_secs(keepalive?.unsigned_abs()),
        close_wait: close_wait?,
        quiet,
        log,
        snmp: snmp?,
        pprof: pprof?,
        status: status?,
        memory: memory?,
        given: Given::new(values, mode),
    })
}
