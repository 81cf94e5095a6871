//! adapters/async
