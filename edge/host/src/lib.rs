//! A wasmtime host that serves the Spin component
