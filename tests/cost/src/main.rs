//! A fixed amount of work, so that the instructions it takes can be counted.
//!
//! | command | work |
//! |---|---|
//! | `both CIPHER FEC ROUNDS` | a client sends so many rounds of [`session::PACKETS`] full packets to a server |
//! | `record CIPHER FEC ROUNDS FILE` | the same, and what the server got goes to a file |
//! | `replay CIPHER FEC ROUNDS FILE` | the server alone, from that file |
//! | `cipher WAY ROUNDS` | encryption alone of as many packets |
//!
//! `CIPHER` is a name as for `--crypt`, `FEC` is `on` (10+3) or `off`. Ways: `lanes` and `single`
//! (AES-256 of the tunnel, a whole batch and packet by packet), `table` (AES-256 by tables),
//! `salsa20`. Everything is decided by these arguments, so the difference of two counts is the cost
//! of the difference in rounds.

mod ciphers;
mod session;
mod table_aes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    match arguments {
        ["both", cipher, fec, rounds] => {
            session::both(&session::Setup::parse(cipher, fec)?, rounds.parse()?, |_| {})
        }
        ["record", cipher, fec, rounds, file] => {
            session::record(&session::Setup::parse(cipher, fec)?, rounds.parse()?, file)
        }
        ["replay", cipher, fec, rounds, file] => {
            session::replay(&session::Setup::parse(cipher, fec)?, rounds.parse()?, file)
        }
        ["cipher", way, rounds] => ciphers::run(way, rounds.parse()?),
        _ => Err("usage: kcptun-cost both|record|replay CIPHER on|off ROUNDS [FILE] | \
                  cipher lanes|single|table|salsa20 ROUNDS"
            .into()),
    }
}
