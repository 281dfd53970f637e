//! A run as a service: its name, where its files are, and its command line.

use crate::checkpoint::Location;
use crate::cli::CliError;
use crate::pipeline::Pipeline;

/// The port on which processes listen for each other, in a pod of its own each.
const PEER_PORT: u16 = 2101;
/// Names of Kubernetes have 63 characters, of which a pod's index and a revision take some.
const LONGEST_LABEL: usize = 45;

/// What YAML takes for something else than a text.
const NO_TEXT_IN_YAML: [&str; 9] = ["false", "n", "no", "null", "off", "on", "true", "y", "yes"];

/// Where the service runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// One machine: several processes are a cluster of its own.
    Systemd,
    /// Pods: several processes are one each.
    Kubernetes,
}

/// A run as a service.
pub(super) struct Service {
    /// Its name where names are lower case letters, digits and `-`.
    pub label: String,
    place: Place,
    workers: u16,
    processes: u16,
    state: Option<String>,
}

impl Service {
    /// Fails where it would not go on by itself: without a topic, or without a state that all its processes reach.
    pub fn of(
        workers: u16,
        processes: u16,
        state: Option<&Location>,
        pipeline: &Pipeline,
        place: Place,
    ) -> Result<Service, CliError> {
        if pipeline.kafka.is_none() {
            return Err(CliError::usage(
                "a service reads a topic, and the pipeline file has no [kafka]: add it, with `brokers` and `topic`",
            ));
        }
        let label = label(&pipeline.name);
        let named_bucket = pipeline.checkpoint.dir.as_ref().is_some_and(|dir| dir.starts_with("s3://"));
        let state = match state {
            Some(state) => Some(state.to_string()),
            None if named_bucket => None,
            None if place == Place::Kubernetes && processes > 1 => {
                return Err(CliError::usage(
                    "processes on several hosts need a state that all reach: give --state s3://BUCKET/PREFIX, or name it \
                     with `dir` in [checkpoint]",
                ));
            }
            None => Some(match place {
                Place::Systemd => format!("/var/lib/counter-machine/{label}/state"),
                Place::Kubernetes => "/var/lib/counter-machine/state".to_owned(),
            }),
        };
        Ok(Service { label, place, workers, processes, state })
    }

    /// Word by word; in a pod without the program, which is the image's.
    pub fn command_line(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let several = self.processes > 1;
        let processes = self.processes.to_string();
        match self.place {
            Place::Systemd => {
                words.push("/usr/local/bin/counter-machine".to_owned());
                words.push(if several { "cluster" } else { "run" }.to_owned());
                words.push(format!("/etc/counter-machine/{}.toml", self.label));
                if several {
                    words.extend(["-n".to_owned(), processes]);
                }
            }
            Place::Kubernetes => {
                words.extend(["run", "/etc/counter-machine/pipeline.toml"].map(str::to_owned));
                if several {
                    words.extend(["-n", &processes, "-p", "$(PROCESS)"].map(str::to_owned));
                    words.extend(["-h", "/etc/counter-machine/hosts"].map(str::to_owned));
                }
            }
        }
        words.extend(["-w".to_owned(), self.workers.to_string()]);
        words.extend(self.state.iter().flat_map(|state| ["--state".to_owned(), state.clone()]));
        let address = match self.place {
            Place::Systemd => "127.0.0.1:9400",
            Place::Kubernetes => "0.0.0.0:9400",
        };
        words.extend(["--http", address].map(str::to_owned));
        words
    }

    /// The file of hosts: a line for each pod, by the name that the headless service gives it.
    pub fn hosts(&self) -> String {
        let label = &self.label;
        (0..self.processes).map(|process| format!("{label}-{process}.{label}:{PEER_PORT}\n")).collect()
    }
}

/// A pipeline's name as one of a service: lower case letters, digits, and `-` between them.
pub(super) fn label(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric();
    let words: Vec<&str> = name.split(|character| !is_plain(character)).filter(|word| !word.is_empty()).collect();
    let mut label = words.join("-").to_ascii_lowercase();
    label.truncate(LONGEST_LABEL);
    let label = label.trim_end_matches('-');
    match label.chars().next() {
        None => "pipeline".to_owned(),
        // Names of a Kubernetes service begin with a letter.
        Some(first) if first.is_ascii_digit() => format!("p-{label}"),
        Some(_) if NO_TEXT_IN_YAML.contains(&label) => format!("p-{label}"),
        Some(_) => label.to_owned(),
    }
}

/// The pipeline's own name where nothing in it needs to be escaped in JSON, YAML and PromQL; else as a service has it.
pub(super) fn job_name(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    if name.chars().all(is_plain) { name.to_owned() } else { label(name) }
}

/// A word of a command line as systemd reads it.
pub(super) fn unit_word(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/_-.:=,%$".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) { escaped } else { format!("\"{escaped}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_one_that_every_service_may_have() {
        let names = [
            ("user_counters", "user-counters"),
            ("Feed v2 (new)", "feed-v2-new"),
            ("42", "p-42"),
            ("ä", "pipeline"),
            ("--", "pipeline"),
            ("On", "p-on"),
        ];
        for (name, expected) in names {
            assert_eq!(label(name), expected);
        }
        assert!(label(&"long name ".repeat(20)).len() <= LONGEST_LABEL + 2);
        assert_eq!(job_name("user_counters"), "user_counters");
        assert_eq!(job_name("a \"b\"\n"), "a-b");
    }

    #[test]
    fn systemd_reads_a_word_as_it_was() {
        assert_eq!(unit_word("s3://bucket/user_counters"), "s3://bucket/user_counters");
        assert_eq!(unit_word("/a b/100%/$HOME\""), "\"/a b/100%%/$$HOME\\\"\"");
    }
}
