//! What every runtime's adapter has to do, as one suite.
//!
//! A behaviour is one function, generic over [`Runtime`](kcptun_async::Runtime); [`suite!`] makes
//! tests of all of them for one [`Platform`]. Sockets, timers and tasks are real, on loopback.
//!
//! | module | what is asked of the adapters |
//! |---|---|
//! | [`streams`] | bytes arrive whole in both directions, ends arrive, slow readers hold writers back |
//! | [`sessions`] | servers that start late or come back, other keys, noise, ends that go in any order |
//! | [`relays`] | TCP connections and unix sockets, carried from a listener to a target |
//! | [`trouble`] | sockets that fail, name services that are silent, targets that accept nobody |
//! | [`gone`] | connections that go while nobody reads them |
//! | [`sockets`] | what a reactor has to tell of UDP sockets |
//! | [`logs`] | lines of the log |
//!
//! That nothing leaks is asked in every test: when a behaviour is over, all it made is dropped, and
//! the test waits until the runtime has no task left. What hangs fails.

pub mod gone;
pub mod logs;
pub mod platform;
pub mod relays;
pub mod sessions;
pub mod sockets;
pub mod streams;
pub mod support;
pub mod trouble;

pub use platform::{Platform, Smol, Tokio};

/// Makes a test of each behaviour for a platform.
#[macro_export]
macro_rules! suite {
    ($platform:ty) => {
        $crate::suite!($platform: streams {
            megabytes_cross_on_many_streams,
            the_asking_end_closes_first,
            the_answering_end_closes_first,
            what_was_written_before_a_drop_arrives,
            a_slow_reader_holds_its_writer_back,
            a_hundred_streams_come_and_go,
            who_stands_behind_a_slow_reader_is_woken,
        });
        $crate::suite!($platform: sessions {
            a_client_may_start_before_its_server,
            a_server_comes_back,
            another_key_never_connects,
            noise_does_no_harm,
            streams_outlive_their_client,
            the_last_words_of_a_client_arrive,
            waiting_for_a_stream_may_be_given_up,
            one_of_two_who_accept_may_give_up,
            streams_are_accepted_from_each_session_in_turn,
            a_server_that_goes_resets_its_streams,
            a_refusal_resets_streams,
        });
        $crate::suite!($platform: relays {
            tcp_is_carried,
            #[cfg(unix)]
            unix_sockets_are_carried,
            #[cfg(unix)]
            unix_sockets_are_named_by_their_paths,
            a_target_that_is_not_there_ends_the_connection,
            a_target_that_resets_ends_the_connection,
            a_download_that_is_reset_ends_at_the_target,
            a_refusal_by_the_target_ends_an_upload,
            an_answer_outlasts_closewait,
            an_upload_that_is_given_up_does_not_look_whole,
        });
        $crate::suite!($platform: gone {
            a_reset_is_noticed_while_nothing_may_be_read,
            a_reset_is_noticed_behind_an_end,
            who_waits_for_a_session_may_go,
        });
        $crate::suite!($platform: sockets {
            datagrams_that_came_at_once_are_all_received,
        });
        $crate::suite!($platform: logs {
            no_answer_is_told_once_for_all_sessions,
            a_dial_that_fails_is_told_once,
            a_session_that_ends_at_once_is_told_with_its_peer,
        });
        $crate::suite!($platform: trouble {
            a_socket_that_fails_is_replaced,
            a_server_s_socket_that_fails_for_a_while_recovers,
            a_session_dies_while_its_socket_is_full,
            packets_that_are_refused_here_are_told_of_once,
            an_expired_session_serves_while_it_cannot_be_replaced,
            a_resolver_that_panics_is_asked_again,
            a_literal_target_is_not_looked_up,
            #[cfg(target_os = "linux")] // 127.0.0.2 is an address of the machine
            names_are_looked_up_for_each_session,
            #[cfg(unix)]
            a_target_that_accepts_nobody_for_a_while,
        });
    };
    ($platform:ty: $module:ident { $($(#[$cfg:meta])* $behaviour:ident),* $(,)? }) => {
        mod $module {
            $(
                $(#[$cfg])*
                #[test]
                fn $behaviour() {
                    <$platform as $crate::Platform>::run($crate::$module::$behaviour);
                }
            )*
        }
    };
}
