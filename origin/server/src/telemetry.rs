//! Where logs and traces go. Traces only when `OTEL_EXPORTER_OTLP_ENDPOINT` says where to (OTLP over HTTP, protobuf).
//!
//! OpenTelemetry's own variables hold: `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_BSP_*`. The exporter has a thread of its own and a bounded
//! queue: a collector that is away costs spans, never events.

use anyhow::{Context as _, Result};
use mediaflow_http::trace;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, Protocol, SpanExporter, WithExportConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

/// Of requests that bring no trace, this share starts one; `OTEL_TRACES_SAMPLER_ARG` says otherwise.
const RATIO: f64 = 0.001;

/// Starts the log; as JSON lines if asked for.
pub fn start_logging(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("MEDIAFLOW_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.init();
    }
}

/// The exporter of traces, if there is one. [`Traces::stop`] sends what is left.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Exports to `OTEL_EXPORTER_OTLP_ENDPOINT`, or does nothing when it is not set.
    ///
    /// # Errors
    /// When the endpoint is no URL or the ratio no number from 0 to 1.
    pub fn start() -> Result<Self> {
        let Some(endpoint) = std::env::var(OTEL_EXPORTER_OTLP_ENDPOINT)
            .ok()
            .filter(|e| !e.is_empty())
        else {
            return Ok(Self(None));
        };
        let ratio = match std::env::var("OTEL_TRACES_SAMPLER_ARG") {
            Ok(text) => text
                .parse()
                .ok()
                .filter(|r| (0.0..=1.0).contains(r))
                .with_context(|| {
                    format!("OTEL_TRACES_SAMPLER_ARG = {text}: give a share from 0 to 1")
                })?,
            Err(_) => RATIO,
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .build()
            .with_context(|| {
                format!("OTEL_EXPORTER_OTLP_ENDPOINT = {endpoint}: give a URL such as http://127.0.0.1:4318")
            })?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("mediaflow");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                ratio,
            ))))
            .with_resource(resource.build())
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        trace::enable();
        tracing::info!(endpoint, ratio, "traces are exported");
        Ok(Self(Some(provider)))
    }

    /// Sends what is left.
    pub async fn stop(self) {
        let Some(provider) = self.0 else { return };
        // The exporter's thread is waited for, so not on a thread of the runtime.
        let done = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(e)) = done {
            tracing::warn!(error = %e, "the last traces were not exported");
        }
    }
}
