//! adapters/tokio
