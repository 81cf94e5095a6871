//! The firmware: a session on a Cortex-M, without heap, interrupts or operating system.
//!
//! What a debugger is told at the end: the report, and status 0 if all went well. In the field the
//! loop would go on for ever, and the wire be a real network card.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use kcptun_firmware::{Memory, Session, Work};

#[entry]
fn main() -> ! {
    // The macro hands a `static` of the entry function out once, as a mutable reference.
    static mut MEMORY: Memory = Memory::new();
    let outcome = Session::new(MEMORY, &Work::default()).and_then(Session::run);
    let status = match outcome {
        Ok(report) if report.leaked_pages == 0 => {
            hprintln!("{:?}", report);
            debug::EXIT_SUCCESS
        }
        Ok(report) => {
            hprintln!("memory was lost: {:?}", report);
            debug::EXIT_FAILURE
        }
        Err(failure) => {
            hprintln!("failed: {}", failure);
            debug::EXIT_FAILURE
        }
    };
    rest(status)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    rest(debug::EXIT_FAILURE)
}

fn rest(status: debug::ExitStatus) -> ! {
    loop {
        debug::exit(status);
    }
}
