//! Our layers against three recorded runs of kcptun (20210922 and December 2024): each datagram is
//! opened layer by layer, made again from what is in it, and played to our ends.
//!
//! In each run the TCP client sends `hello kcptun`, the target answers in capitals, the client
//! closes. In the last one the data is ciphered with QPP, which the tunnel passes on as it is.
#![cfg(all(feature = "all-ciphers", feature = "snappy"))]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/ends.rs"]
mod ends;
mod support;

use core::time::Duration;

use capture::{Capture, Datagram, Frame, other};
use ends::{Chain, KcpEnd, MuxEnd};
use fec_proto::{Encoder, EncoderConfig, EncoderStorage, HEADROOM, Kernel, Kind, classify};
use kcp_proto::wire::{Command, Header, Segments};
use kcptun_tunnel::snappy::{Compressor, Scratch};
use kcptun_tunnel::{ConnectionStats, Endpoint, Event, Side, StreamError, TransmitBatch};
use proto_base::Instant;
use smux_proto::{Role, wire};
use support::{open, pool, protection, seal_with};

const ROLES: [Role; 2] = [Role::Client, Role::Server];

#[test]
fn the_runs_are_all_there() {
    let captures = Capture::all();
    let counts: Vec<_> = captures
        .iter()
        .map(|capture| ROLES.map(|from| capture.datagrams_of(from).count()))
        .collect();
    assert_eq!(counts, [[12, 6], [5, 5], [5, 5]]);
    for capture in &captures[..2] {
        assert_eq!(capture.client.data(), b"hello kcptun");
        assert_eq!(capture.server.data(), b"HELLO KCPTUN");
    }
    assert_eq!([captures[2].client.data().len(), captures[2].server.data().len()], [12, 12]);
}

#[test]
fn each_datagram_opens_and_seals_to_itself() {
    let mut checked = 0;
    for capture in Capture::all() {
        let mut protection = protection(capture.cipher.clone());
        for datagram in &capture.datagrams {
            let (nonce, payload) = open(&protection, &datagram.bytes);
            assert_eq!(payload, datagram.payload, "{}", capture.name);
            assert_eq!(nonce, datagram.nonce, "{}", capture.name);
            assert_eq!(seal_with(&mut protection, &nonce, &payload), datagram.bytes);
            checked += 1;
        }
    }
    assert_eq!(checked, 38);
}

#[test]
fn fec_headers_and_parity_are_what_our_encoder_makes() {
    let (mut plain, mut data, mut parity) = (0, 0, 0);
    for (capture, from) in each_direction() {
        let mut pool = pool();
        let mut encoder = capture.shape.map(|shape| {
            let config = EncoderConfig::default();
            Encoder::new(shape, Kernel::PORTABLE, config, EncoderStorage::owned()).unwrap()
        });
        for datagram in capture.datagrams_of(from) {
            let mut ours = datagram.payload.clone();
            let (Some(encoder), Some(fec)) = (&mut encoder, &datagram.fec) else {
                assert!(encoder.is_none() && datagram.fec.is_none());
                assert_eq!(classify(&datagram.payload), Kind::Plain);
                plain += 1;
                continue;
            };
            assert_eq!(datagram.payload[..4], fec.id.to_le_bytes());
            if let Some(size) = fec.size {
                assert_eq!(classify(&datagram.payload), Kind::Data);
                assert_eq!(datagram.payload[6..8], size.to_le_bytes());
                ours[..HEADROOM].fill(0);
                encoder.seal(datagram.at, &mut pool, &mut ours).unwrap();
                data += 1;
            } else {
                assert_eq!(classify(&datagram.payload), Kind::Parity);
                ours.fill(0);
                assert_eq!(encoder.poll_transmit(&mut pool, &mut ours), Ok(Some(ours.len())));
                parity += 1;
            }
            assert_eq!(ours, datagram.payload, "id {}", fec.id);
        }
        assert!(encoder.is_none_or(|encoder| !encoder.has_parity()), "no parity was missing");
    }
    assert_eq!((plain, data, parity), (20, 14, 4));
}

#[test]
fn segments_are_parsed_and_emitted_again() {
    let (mut pushes, mut acks) = (0, 0);
    for capture in Capture::all() {
        for datagram in capture.datagrams.iter().filter(|datagram| !datagram.is_parity()) {
            let bytes = segments_of(datagram);
            let segments: Vec<_> = Segments::parse(capture.conv, bytes)
                .unwrap()
                .map(|(header, data)| (header, data.to_vec()))
                .collect();
            assert_eq!(segments, datagram.segments, "{}", capture.name);
            let emit = |(header, data): &(Header, Vec<u8>)| [&header.emit()[..], data].concat();
            assert_eq!(segments.iter().flat_map(emit).collect::<Vec<_>>(), bytes);
            for (header, _) in &segments {
                match header.command {
                    Command::Push => pushes += 1,
                    Command::Ack => acks += 1,
                    other => panic!("the runs have no {other:?}"),
                }
            }
        }
    }
    assert_eq!((pushes, acks), (23, 16));
}

#[test]
fn byte_streams_of_both_directions_come_out() {
    let mut datagrams = 0;
    for (capture, from) in each_direction() {
        let mut chain = Chain::new(&capture, from);
        for datagram in capture.datagrams_of(from) {
            chain.handle_datagram(datagram.at, &datagram.bytes);
            datagrams += 1;
        }
        let expected = capture.direction(from);
        assert_eq!(chain.kcp_stream, expected.kcp_stream, "{} {from:?}", capture.name);
        assert_eq!(chain.plain, expected.plain, "{} {from:?}", capture.name);
        assert_eq!(chain.kcp.stats().repeated, 0);
        if let Some(shape) = capture.shape.filter(|_| from == Role::Client) {
            assert_eq!(chain.decoder.shape(), Some(shape));
            assert!(chain.decoder.is_certain(), "two groups prove the shape");
        }
    }
    assert_eq!(datagrams, 38);
}

#[test]
fn frames_are_parsed_and_compressed_to_the_same_stream() {
    let (mut checked, mut compressed) = (0, 0);
    for (capture, from) in each_direction() {
        let direction = capture.direction(from);
        let mut rest = direction.plain.clone();
        let mut wire = Vec::new();
        let (mut compressor, mut scratch) = (Compressor::new(), Scratch::new());
        for expected in &direction.frames {
            let before = rest.clone();
            let frame = Frame::take(&mut rest).unwrap();
            assert_eq!(frame, *expected, "{} {from:?}", capture.name);
            assert_eq!(frame.emit(), before[..before.len() - rest.len()]);
            if capture.compression {
                compressor.compress(&mut scratch, &frame.emit(), &mut wire);
                compressed += 1;
            } else {
                wire.extend(frame.emit());
            }
            checked += 1;
        }
        assert!(rest.is_empty());
        assert_eq!(wire, direction.kcp_stream, "{} {from:?}", capture.name);
    }
    assert_eq!((checked, compressed), (18, 5));
}

/// Our KCP takes the place of each end in turn. It gets what the other end sent, and writes when
/// and what the recorded end wrote: each of its pushes must be the recorded one, header and all.
/// Its acks may leave at other times and in other numbers, but must echo what they acknowledge, and
/// together acknowledge everything.
#[test]
fn our_kcp_pushes_what_each_end_pushed() {
    let (mut pushes, mut acknowledged) = (0, 0);
    for (capture, role) in each_direction() {
        let mut end = KcpEnd::new(&capture, role);
        for datagram in &capture.datagrams {
            for (header, data) in &datagram.segments {
                match header.command {
                    Command::Push if datagram.from == role => {
                        end.push(*header, data);
                        pushes += 1;
                    }
                    Command::Push => {
                        end.peer_pushes.insert(header.sn.get(), *header);
                    }
                    _ => {}
                }
            }
            if datagram.from != role && !datagram.is_parity() {
                end.take(segments_of(datagram));
            }
        }
        end.drain(Duration::from_secs(1));
        assert_eq!(end.received, capture.direction(other(role)).kcp_stream);
        assert_eq!(end.told_una as usize, end.peer_pushes.len(), "{} {role:?}", capture.name);
        acknowledged += end.told_una;
        let stats = end.kcp.stats();
        let repeats = stats.fast_retransmits + stats.early_retransmits + stats.timeout_retransmits;
        assert_eq!((repeats, stats.bad_packets), (0, 0), "{} {role:?}", capture.name);
        assert_eq!(end.kcp.in_flight(), 0, "the recorded acks free all that was sent");
        assert!(end.kcp.is_proven() && end.kcp.rtt().is_some(), "they echo our clock");
    }
    assert_eq!((pushes, acknowledged), (23, 23));
}

/// Our smux takes the place of each end in turn: it reads what the other end sent, and its own
/// frames must be the recorded ones, in the recorded order.
#[test]
fn our_mux_writes_what_each_end_wrote() {
    let (mut written, mut taken, mut whole) = (0, 0, 0);
    for (capture, role) in each_direction() {
        let mut end = MuxEnd::new(&capture, role);
        for (from, frame) in frames_in_order(&capture) {
            if from == role {
                assert_eq!(end.write(&frame), frame.emit(), "{} {role:?}", capture.name);
                written += 1;
            } else {
                end.take(&frame);
                taken += 1;
            }
        }
        // Behind a FIN of its own, our end says that it still reads: by a NOP with the stream's id,
        // which the original ignores.
        if let Some(frame) = end.mux.poll_control(Instant::ZERO) {
            let frame = Frame::take(&mut frame.as_bytes().to_vec()).expect("a whole frame");
            assert_eq!(frame.header.command, wire::Command::Nop);
            assert!(frame.header.stream != 0 && frame.body.is_empty());
        }
        assert!(!end.mux.has_control(), "nothing else is left to say");
        let events: Vec<_> = core::iter::from_fn(|| end.mux.poll_event()).collect();
        assert_eq!(
            end.received,
            capture.direction(other(role)).data(),
            "{} {role:?}",
            capture.name
        );
        let stats = end.mux.stats();
        assert_eq!((stats.refused, stats.dropped, stats.blocked), (0, 0, 0));
        // In the last run the server was not seen to send a FIN.
        let is_whole = ROLES.iter().all(|&from| {
            capture.direction(from).frames.last().unwrap().header.command == wire::Command::Fin
        });
        let has_ended = matches!(events.last(), Some(smux_proto::Event::Ended(_)));
        assert_eq!(has_ended, is_whole, "{events:?}");
        assert_eq!(end.mux.stats().streams, usize::from(!is_whole), "{} {role:?}", capture.name);
        whole += usize::from(is_whole);
    }
    assert_eq!((written, taken, whole), (18, 18, 4));
}

/// Our server in the place of the recorded one: the recorded client's stream opens, its data
/// arrives, and what our server says is what the recorded one said.
#[test]
fn our_server_serves_the_recorded_clients() {
    let mut datagrams = 0;
    for capture in Capture::all() {
        let client: Vec<_> = capture.datagrams_of(Role::Client).collect();
        let server = serve(&capture, &client);
        assert_eq!(server.received, capture.client.data(), "{}", capture.name);
        assert_eq!(server.stats.bad_payloads, 0);
        assert_eq!(server.stats.datagrams_in, client.len() as u64);
        assert_eq!(server.stats.kcp.timeout_retransmits + server.stats.kcp.fast_retransmits, 0);
        assert_eq!(server.stats.mux.incoming, 1);
        assert_eq!(server.stats.mux.frames_in, capture.client.frames.len() as u64);
        datagrams += client.len();

        // Ours says the same, but tells its window before it answers, and always ends with a FIN.
        let mut chain = Chain::new(&capture, Role::Server);
        for (at, datagram) in &server.sent {
            chain.handle_datagram(*at, datagram);
        }
        let mut frames: Vec<_> = chain.new_frames().collect();
        assert!(chain.frames_rest().is_empty());
        let fin = frames.pop().unwrap();
        assert_eq!(fin.header.command, wire::Command::Fin);
        let mut expected = capture.server.frames.clone();
        expected.retain(|frame| frame.header.command != wire::Command::Fin);
        for frames in [&mut frames, &mut expected] {
            frames.sort_by_key(Frame::emit);
        }
        assert_eq!(frames, expected, "{}", capture.name);
    }
    assert_eq!(datagrams, 22);
}

#[test]
fn our_server_takes_each_datagram_twice_and_serves_once() {
    let mut repeated = 0;
    for capture in Capture::all() {
        let twice: Vec<_> = capture.datagrams_of(Role::Client).flat_map(|one| [one, one]).collect();
        let server = serve(&capture, &twice);
        assert_eq!(server.received, capture.client.data(), "{}", capture.name);
        assert_eq!(server.stats.mux.frames_in, capture.client.frames.len() as u64);
        assert_eq!(server.stats.bad_payloads, 0);
        assert_eq!(server.stats.datagrams_in, twice.len() as u64);
        repeated += server.stats.kcp.repeated;
    }
    assert_eq!(repeated, 6 + 4 + 4, "each push once more");
}

/// Whichever datagram of the client with FEC is lost, its parity makes up for it, as soon as the
/// types of the others have proved the shape.
#[test]
fn our_server_does_without_any_one_datagram_of_a_client_with_fec() {
    let (mut runs, mut recovered) = (0, 0);
    for capture in Capture::all().iter().filter(|capture| capture.shape.is_some()) {
        let client: Vec<_> = capture.datagrams_of(Role::Client).collect();
        for lost in 0..client.len() {
            let mut rest = client.clone();
            let is_parity = rest.remove(lost).is_parity();
            let server = serve(capture, &rest);
            assert_eq!(server.received, capture.client.data(), "without {lost}");
            assert_eq!(server.stats.mux.frames_in, capture.client.frames.len() as u64);
            assert_eq!(server.stats.decoder.recovered, u64::from(!is_parity), "without {lost}");
            assert_eq!(server.stats.decoder.errors, 0);
            runs += 1;
            recovered += server.stats.decoder.recovered;
        }
    }
    assert_eq!((runs, recovered), (12, 9));
}

fn each_direction() -> impl Iterator<Item = (Capture, Role)> {
    ROLES.into_iter().flat_map(|role| Capture::all().into_iter().map(move |one| (one, role)))
}

/// The KCP bytes of a datagram that has some.
fn segments_of(datagram: &Datagram) -> &[u8] {
    &datagram.payload[if datagram.fec.is_some() { HEADROOM } else { 0 }..]
}

/// The frames of both directions, each when its last byte had passed.
fn frames_in_order(capture: &Capture) -> Vec<(Role, Frame)> {
    let mut chains = ROLES.map(|from| (from, Chain::new(capture, from)));
    let mut frames = Vec::new();
    for datagram in &capture.datagrams {
        let (from, chain) = chains.iter_mut().find(|(from, _)| *from == datagram.from).unwrap();
        chain.handle_datagram(datagram.at, &datagram.bytes);
        frames.extend(chain.new_frames().map(|frame| (*from, frame)));
    }
    frames
}

/// What our server did in the place of a recorded one.
struct Served {
    received: Vec<u8>,
    sent: Vec<(Instant, Vec<u8>)>,
    stats: ConnectionStats,
}

/// Plays datagrams of the recorded client to our server. Its application does what the recorded
/// one did: it answers with the recorded answer, and ends the stream when the client has.
fn serve(capture: &Capture, datagrams: &[&Datagram]) -> Served {
    let mut server =
        Endpoint::new(capture.server_config(), capture.cipher.clone(), Side::Server, [7; 32])
            .unwrap();
    let client = "[::1]:1".parse().unwrap();
    let answer = capture.server.data();
    let (mut received, mut sent, mut ended) = (Vec::new(), Vec::new(), 0);
    let last = datagrams.last().unwrap().at;
    // The last acks wait half an interval.
    let steps = datagrams.iter().map(|one| (one.at, Some(*one)));
    for (now, datagram) in steps.chain([(last + Duration::from_millis(20), None)]) {
        server.handle_timeout(now);
        if let Some(datagram) = datagram {
            server.handle_batch(now, client, &mut datagram.bytes.clone(), 0);
        }
        while let Some((key, event)) = server.poll_event() {
            let stream = match event {
                Event::Incoming => server.accept(key).expect("a stream has come"),
                Event::Readable(stream) | Event::Finished(stream) => stream,
                Event::Ended(_) => {
                    ended += 1;
                    continue;
                }
                other => panic!("{}: {other:?}", capture.name),
            };
            let read = server.read_with(now, key, stream, |bytes| (bytes.len(), bytes.to_vec()));
            if let Ok(bytes) = read {
                received.extend(bytes);
                server
                    .write_with(now, key, stream, answer.len(), |slot| {
                        slot.copy_from_slice(&answer);
                        (answer.len(), ())
                    })
                    .unwrap();
            }
            let read = server.read_with(now, key, stream, |bytes| (bytes.len(), ()));
            match read.unwrap_err() {
                StreamError::Finished => server.finish(now, key, stream),
                error => assert!(matches!(error, StreamError::Blocked | StreamError::Gone)),
            }
        }
        let mut batch = TransmitBatch::new();
        while let Some(to) = server.poll_transmit(now, &mut batch) {
            assert_eq!(to, client);
            sent.extend(batch.iter().map(|datagram| (now, datagram.to_vec())));
        }
    }
    assert_eq!(ended, 1, "{}: the stream has ended", capture.name);
    let stats = server.stats();
    assert_eq!((stats.checksum_errors, stats.too_short, stats.strays), (0, 0, 0));
    assert_eq!((stats.passive_opens, stats.most_connections), (1, 1));
    let key = server.connections().next().unwrap();
    assert_eq!(server.conv(key), Some(capture.conv));
    Served { received, sent, stats: server.connection_stats(key).unwrap() }
}
