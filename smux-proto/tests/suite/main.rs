//! The session as a whole: against the recorded byte streams, against a plain model, and against
//! peers that behave badly. All of it in owned and in borrowed memory.

mod back_to_back;
mod behaviour;
mod hostile;
mod support;
mod vectors;
