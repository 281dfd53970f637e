//! What librdkafka is told: the settings the design rests on, defaults of ours, and
//! `[kafka.options]`, passed through as they stand.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::pipeline::KafkaConfig;
use crate::source::{SourceError, SourceErrorKind};

/// Settings that nobody may change, with the reason.
const FIXED: [(&str, &str, &str); 6] = [
    ("enable.auto.commit", "false", "positions are kept by this program, not by a consumer group"),
    ("auto.commit.enable", "false", "positions are kept by this program, not by a consumer group"),
    ("enable.auto.offset.store", "false", "positions are kept by this program, not by a consumer group"),
    ("enable.partition.eof", "true", "it tells that a partition was read to its end"),
    ("auto.offset.reset", "error", "messages are never skipped silently; use `start` in [kafka]"),
    ("statistics.interval.ms", "0", "statistics would pile up while the sink stands still"),
];

/// Settings that another entry of the pipeline file makes.
const BROKERS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];

/// Defaults of ours, which `[kafka.options]` may replace.
const DEFAULTS: [(&str, &str); 8] = [
    ("client.id", "counter-machine"),
    // Names no group that anybody joins: partitions are assigned by hand.
    ("group.id", "counter-machine"),
    ("isolation.level", "read_committed"),
    // A damaged batch must not be skipped.
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    // A queue is drained within milliseconds; the default of a second would leave it empty.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.max.bytes", "8388608"),
    // Of one partition, compressed: librdkafka decompresses an answer at once, whatever its queues hold. A broker gives a larger batch nevertheless.
    ("fetch.message.max.bytes", "131072"),
];

/// What waits in librdkafka's queues, over all readers together.
const QUEUED_MESSAGES: usize = 100_000;
const QUEUED_KIB: usize = 64 * 1024;

/// The settings of every client of this Kafka.
pub(crate) fn client_settings(config: &KafkaConfig) -> Result<ClientConfig, SourceError> {
    checked_settings(config).map_err(|error| error.of_kind(SourceErrorKind::Settings))
}

fn checked_settings(config: &KafkaConfig) -> Result<ClientConfig, SourceError> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &config.brokers);
    for (name, value) in &config.options {
        refuse_if_fixed(name, value)?;
        settings.set(name, value);
    }
    if cfg!(feature = "tls") && looks_for_certificates(&settings, |name| std::env::var_os(name).is_some()) {
        settings.set("ssl.ca.location", "probe");
    }
    // librdkafka checks names and values only here. A value may be a password: it is not repeated.
    settings.create_native_config().map_err(|error| match error {
        KafkaError::ClientConfig(_, problem, _, _) => SourceError::new(with_tls_hint(&problem, "[kafka.options]: ")),
        error => SourceError::caused_by("[kafka.options] are not what librdkafka takes", error),
    })?;
    Ok(settings)
}

/// Whether librdkafka is to look for certificates where systems have them. OpenSSL, as it is built into this program, looks into `/usr/local/ssl`
/// only, or where two variables say.
fn looks_for_certificates(settings: &ClientConfig, is_set: impl Fn(&str) -> bool) -> bool {
    let is_given = |name: &&str| settings.get(name).is_some();
    !["ssl.ca.location", "ssl.ca.pem"].iter().any(is_given)
        && !["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(is_set)
}

/// The settings of one of so many consumers.
pub(super) fn consumer_settings(config: &KafkaConfig, readers: usize) -> Result<ClientConfig, SourceError> {
    let mut settings = ClientConfig::new();
    for (name, value) in DEFAULTS {
        settings.set(name, value);
    }
    let readers = readers.max(1);
    settings.set("queued.min.messages", (QUEUED_MESSAGES / readers).max(1_000).to_string());
    settings.set("queued.max.messages.kbytes", (QUEUED_KIB / readers).max(1_024).to_string());
    let given = client_settings(config)?;
    for (name, _) in given.config_map() {
        // `config_map` hides passwords, `get` does not.
        settings.set(name, given.get(name).unwrap_or_default());
    }
    for (name, value, _) in FIXED {
        settings.set(name, value);
    }
    Ok(settings)
}

/// The settings of a consumer that learns when its topic was made anew: librdkafka tells the change of a topic's id only
/// in what it logs of metadata, whatever else is to be logged.
pub(super) fn watchful(mut settings: ClientConfig) -> ClientConfig {
    let wanted = settings.get("debug").map_or_else(|| "metadata".to_owned(), |debug| format!("{debug},metadata"));
    settings.set("debug", wanted).set_log_level(RDKafkaLogLevel::Debug);
    settings
}

fn refuse_if_fixed(name: &str, value: &str) -> Result<(), SourceError> {
    if BROKERS.contains(&name) {
        return Err(SourceError::new(format!("[kafka.options] may not set `{name}`: use `brokers` in [kafka]")));
    }
    match FIXED.iter().find(|(fixed, _, _)| *fixed == name) {
        Some((_, needed, reason)) if value != *needed => Err(SourceError::new(format!(
            "[kafka.options] may not set `{name}` to `{value}`: it is always `{needed}`, as {reason}"
        ))),
        _ => Ok(()),
    }
}

/// The problem, with a hint where it is one of a build without TLS.
pub(super) fn with_tls_hint(problem: &str, prefix: &str) -> String {
    let lacks_tls = ["OpenSSL", "openssl", "not supported in this build"].iter().any(|sign| problem.contains(sign));
    if lacks_tls && !cfg!(feature = "tls") {
        format!(
            "{prefix}{problem}. This program was built without TLS and SASL: build it with `cargo build --release \
             --features tls`"
        )
    } else {
        format!("{prefix}{problem}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::StartOffset;

    fn config(options: &[(&str, &str)]) -> KafkaConfig {
        KafkaConfig {
            brokers: "localhost:9092".to_owned(),
            topic: "events".to_owned(),
            start: StartOffset::Earliest,
            group: None,
            options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn refusal(options: &[(&str, &str)]) -> String {
        consumer_settings(&config(options), 1).expect_err("refused").to_string()
    }

    #[test]
    fn certificates_of_the_system_are_looked_for_unless_others_are_named() {
        let looks = |option: &str, variable: &str| {
            let mut settings = ClientConfig::new();
            settings.set(option, "/ca.pem");
            looks_for_certificates(&settings, |name| name == variable)
        };
        assert!(looks("client.id", "PATH"));
        for (option, variable) in [
            ("ssl.ca.location", "PATH"),
            ("ssl.ca.pem", "PATH"),
            ("client.id", "SSL_CERT_FILE"),
            ("client.id", "SSL_CERT_DIR"),
        ] {
            assert!(!looks(option, variable), "{option} {variable}");
        }
    }

    #[test]
    fn options_replace_defaults() {
        let settings = consumer_settings(&config(&[("isolation.level", "read_uncommitted")]), 4).expect("settings");
        assert_eq!(settings.get("isolation.level"), Some("read_uncommitted"));
        assert_eq!(settings.get("queued.min.messages"), Some("25000"));
        assert_eq!(settings.get("enable.auto.commit"), Some("false"));
    }

    #[test]
    fn passwords_are_passed_on_and_not_shown() {
        let settings = consumer_settings(&config(&[("sasl.password", "secret")]), 1).expect("settings");
        assert_eq!(settings.get("sasl.password"), Some("secret"));
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn what_the_design_needs_is_refused_with_the_reason() {
        let text = refusal(&[("auto.offset.reset", "latest")]);
        assert!(text.contains("auto.offset.reset") && text.contains("`start` in [kafka]"), "{text}");
        assert!(refusal(&[("bootstrap.servers", "other:9092")]).contains("`brokers` in [kafka]"));
        assert!(consumer_settings(&config(&[("enable.auto.commit", "false")]), 1).is_ok());
    }

    #[test]
    fn wrong_names_and_values_are_named() {
        assert!(refusal(&[("fetch.wait.max", "5")]).contains("fetch.wait.max"));
        assert!(refusal(&[("fetch.wait.max.ms", "soon")]).contains("fetch.wait.max.ms"));
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_how_to_get_it() {
        let text = refusal(&[("security.protocol", "sasl_ssl")]);
        assert!(text.contains("--features tls"), "{text}");
    }
}
