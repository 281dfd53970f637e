//! The codes of errors: one for each kind of cause that asks for something else to be done.
//!
//! A code never changes its meaning, and a number that is gone is not used again: people search for it, and alerts may match it. Every code has
//! a page, `docs/errors/CM0101.md`, which is in the binary; `counter-machine explain CM0101` prints it.

use std::fmt;

/// Makes the enum, its list, and what belongs to each code, of one table.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident $code:literal exits $exit:literal)*) => {
        /// What kind of cause ended a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// All there are, by number.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name,)*];

            /// As it is written: `CM0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $code,)* }
            }

            /// What a command that ends with it exits with.
            pub fn exit_code(self) -> u8 {
                match self { $(ErrorCode::$name => $exit,)* }
            }

            /// Its page: Markdown.
            pub fn page(self) -> &'static str {
                match self { $(ErrorCode::$name => include_str!(concat!("../../docs/errors/", $code, ".md")),)* }
            }
        }
    };
}

error_codes! {
    /// The command line is not right.
    Usage "CM0101" exits 2
    /// The pipeline file cannot be read.
    PipelineUnreadable "CM0102" exits 2
    /// The pipeline file says something that is not right.
    PipelineInvalid "CM0103" exits 2
    /// The system refuses a thread, a process or a signal handler.
    SystemRefuses "CM0104" exits 1
    /// This machine's clock cannot be right.
    ClockWrong "CM0105" exits 75
    /// What a command prints or writes cannot be written.
    OutputNotWritten "CM0106" exits 1

    /// An event log cannot be opened.
    LogUnreadable "CM0201" exits 2
    /// Input cannot be read any further.
    InputFailed "CM0202" exits 1
    /// An event log is not what it was when it was counted.
    LogChanged "CM0203" exits 1
    /// An event log is damaged, or cut off.
    LogDamaged "CM0204" exits 1
    /// What is published, but not counted in the state, cannot be read again.
    InputLost "CM0205" exits 1
    /// The state was counted from other input.
    OtherInput "CM0206" exits 2
    /// Everything that was read was refused.
    NothingCounted "CM0207" exits 1
    /// The input holds events in another form.
    WrongForm "CM0208" exits 1

    /// No Kafka broker answers.
    BrokerLost "CM0301" exits 75
    /// There is no such topic.
    TopicMissing "CM0302" exits 1
    /// The topic was deleted and made anew.
    TopicMadeAnew "CM0303" exits 1
    /// Messages were deleted before they were read.
    MessagesGone "CM0304" exits 1
    /// Kafka does not accept who we are, or does not allow it.
    KafkaDenied "CM0305" exits 1
    /// The settings for Kafka are not right.
    KafkaSettings "CM0306" exits 2

    /// Items cannot be written or read.
    SinkFailed "CM0401" exits 1
    /// Somebody else uses the sink.
    SinkInUse "CM0402" exits 1
    /// The table's service does not answer.
    TableLost "CM0403" exits 75
    /// What was written is not there any more.
    SinkGone "CM0404" exits 1
    /// The sink holds something else.
    SinkForeign "CM0405" exits 1
    /// The table's service does not accept the credentials.
    TableDenied "CM0406" exits 1
    /// There is no such table.
    TableMissing "CM0407" exits 1
    /// The table has another key.
    TableKey "CM0408" exits 1
    /// The disk of the items or the dead letters is full.
    SinkDiskFull "CM0409" exits 1
    /// The file of items is damaged.
    SinkDamaged "CM0410" exits 1
    /// Dead letters could not be kept.
    DeadLettersNotKept "CM0411" exits 1
    /// There were more dead letters than may be.
    TooManyDeadLetters "CM0412" exits 1
    /// The table is not as it was asked for.
    TableDiffers "CM0413" exits 1

    /// The state cannot be written or read just now.
    StateUnreachable "CM0501" exits 75
    /// What was asked for cannot be with this state.
    StateUsage "CM0502" exits 2
    /// Another run has the state.
    StateInUse "CM0503" exits 1
    /// The disk of the state is full.
    StateDiskFull "CM0504" exits 75
    /// The state is damaged.
    StateDamaged "CM0505" exits 1
    /// The state was written by a newer version.
    StateNewer "CM0506" exits 1
    /// The state is another pipeline's.
    StateForeign "CM0507" exits 2
    /// The pipeline file has changed in a way that its state cannot follow.
    PipelineChanged "CM0508" exits 2
    /// There is no state.
    StateMissing "CM0509" exits 2
    /// No run is using the state.
    NotRunning "CM0510" exits 1
    /// A damaged checkpoint was set aside.
    StateSetAside "CM0511" exits 75

    /// The processes of a run, or their addresses, are not described right.
    Hosts "CM0601" exits 2
    /// Processes on a network need a secret.
    SecretMissing "CM0602" exits 2
    /// This process cannot listen on its address.
    CannotListen "CM0603" exits 1
    /// The processes of a run were started differently.
    ProcessesDiffer "CM0604" exits 2
    /// Not all processes were there in time.
    NotFormed "CM0605" exits 75
    /// Another process is lost.
    PeerLost "CM0606" exits 75
    /// Not all processes were there in time, and one does not know the secret.
    SecretWrong "CM0607" exits 75
    /// A process of `cluster` has ended.
    ProcessEnded "CM0608" exits 1

    /// A signal came before the end of the input.
    Interrupted "CM0701" exits 130
    /// A signal came, and items wait to be published.
    ItemsLeft "CM0702" exits 130
    /// It was stopped before it had caught up.
    NotCaughtUp "CM0703" exits 75
    /// There are more rows than a worker can hold.
    TooManyRows "CM0704" exits 1

    /// There is no such item.
    NoItem "CM0801" exits 1
    /// The items are not what the events say.
    ItemsDiffer "CM0802" exits 1
    /// Nothing could be compared.
    NothingCompared "CM0803" exits 1

    /// A bug ended the process.
    Panic "CM0901" exits 70
    /// A bug ended the run.
    Bug "CM0902" exits 1
}

impl ErrorCode {
    /// Its meaning in one line: the head of its page.
    pub fn title(self) -> &'static str {
        let head = self.page().lines().next().unwrap_or_default();
        head.split_once(": ").map_or(head, |(_, title)| title)
    }

    /// The code that is written so, in any case and without its zeros, too.
    pub fn parse(text: &str) -> Option<ErrorCode> {
        let text = text.trim().trim_matches(['[', ']']).to_ascii_uppercase();
        let digits = text.strip_prefix("CM").unwrap_or(&text);
        let number: u32 = digits.parse().ok()?;
        ErrorCode::ALL.iter().copied().find(|code| code.number() == Some(number))
    }

    /// The one whose number is nearest: codes of one area stand together.
    pub fn nearest(text: &str) -> Option<ErrorCode> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let number: u32 = digits.parse().ok()?;
        ErrorCode::ALL.iter().copied().min_by_key(|code| code.number().map(|own| own.abs_diff(number)))
    }

    fn number(self) -> Option<u32> {
        self.as_str().strip_prefix("CM")?.parse().ok()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// What each number means, for ever. A line is added with a code; none is changed, and none is taken away.
    const GIVEN: &str = "
        CM0101 Usage  CM0102 PipelineUnreadable  CM0103 PipelineInvalid  CM0104 SystemRefuses  CM0105 ClockWrong
        CM0106 OutputNotWritten
        CM0201 LogUnreadable  CM0202 InputFailed  CM0203 LogChanged  CM0204 LogDamaged  CM0205 InputLost
        CM0206 OtherInput  CM0207 NothingCounted  CM0208 WrongForm
        CM0301 BrokerLost  CM0302 TopicMissing  CM0303 TopicMadeAnew  CM0304 MessagesGone  CM0305 KafkaDenied
        CM0306 KafkaSettings
        CM0401 SinkFailed  CM0402 SinkInUse  CM0403 TableLost  CM0404 SinkGone  CM0405 SinkForeign
        CM0406 TableDenied  CM0407 TableMissing  CM0408 TableKey  CM0409 SinkDiskFull  CM0410 SinkDamaged
        CM0411 DeadLettersNotKept  CM0412 TooManyDeadLetters  CM0413 TableDiffers
        CM0501 StateUnreachable  CM0502 StateUsage  CM0503 StateInUse  CM0504 StateDiskFull  CM0505 StateDamaged
        CM0506 StateNewer  CM0507 StateForeign  CM0508 PipelineChanged  CM0509 StateMissing  CM0510 NotRunning
        CM0511 StateSetAside
        CM0601 Hosts  CM0602 SecretMissing  CM0603 CannotListen  CM0604 ProcessesDiffer  CM0605 NotFormed
        CM0606 PeerLost  CM0607 SecretWrong  CM0608 ProcessEnded
        CM0701 Interrupted  CM0702 ItemsLeft  CM0703 NotCaughtUp  CM0704 TooManyRows
        CM0801 NoItem  CM0802 ItemsDiffer  CM0803 NothingCompared
        CM0901 Panic  CM0902 Bug";

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn codes_are_unique_and_never_renumbered() {
        let given: Vec<&str> = GIVEN.split_whitespace().collect();
        let given: Vec<String> = given.chunks(2).map(|pair| pair.join(" ")).collect();
        let own: Vec<String> = ErrorCode::ALL.iter().map(|code| format!("{code} {code:?}")).collect();
        assert_eq!(own, given);
        assert_eq!(own.iter().map(|line| &line[..6]).collect::<BTreeSet<_>>().len(), own.len());
        assert!(own.is_sorted(), "by number");
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let mut pages: Vec<_> = fs::read_dir(root().join("docs/errors"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "README.md")
            .collect();
        pages.sort();
        assert_eq!(pages, ErrorCode::ALL.iter().map(|code| format!("{code}.md")).collect::<Vec<_>>());
        let list = fs::read_to_string(root().join("docs/errors/README.md")).unwrap();
        for code in ErrorCode::ALL {
            let line = format!("| [{code}]({code}.md) | {} |", code.title());
            assert!(list.contains(&line), "docs/errors/README.md lacks the line\n{line}");
        }
        assert_eq!(list.matches("| [CM").count(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_page_says_what_it_means_what_to_look_at_and_what_to_do() {
        for code in ErrorCode::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}: ")) && code.title().len() > 10, "{code}");
            let parts =
                ["\n## Meaning\n\n", "\n## Look at\n\n", "\n## Do\n\n"].map(|part| page.find(part).expect(part));
            assert!(parts.is_sorted(), "{code}");
            assert!(page.contains(&format!("Exit code {}", code.exit_code())), "{code} says how a command exits");
            for other in page.match_indices("CM0").map(|(at, _)| &page[at..at + 6]) {
                assert!(ErrorCode::parse(other).is_some(), "{code} names {other}, which there is not");
            }
        }
    }

    #[test]
    fn every_code_can_come_up() {
        let mut code_text = String::new();
        let mut folders = vec![root().join("src")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else if !entry.ends_with("cli/error_code.rs") {
                    code_text += &fs::read_to_string(entry).unwrap_or_default();
                }
            }
        }
        for code in ErrorCode::ALL {
            assert!(code_text.contains(&format!("ErrorCode::{code:?}")), "nothing ends with {code:?}");
        }
    }

    #[test]
    fn a_code_is_known_however_it_is_copied() {
        for text in ["CM0203", "cm0203", "[CM0203]", "0203", "203", " CM203 "] {
            assert_eq!(ErrorCode::parse(text), Some(ErrorCode::LogChanged), "{text}");
        }
        for text in ["", "CM", "CM0299", "E0203", "CM-203"] {
            assert_eq!(ErrorCode::parse(text), None, "{text}");
        }
        assert_eq!(ErrorCode::nearest("CM0299"), Some(ErrorCode::BrokerLost));
        assert_eq!(ErrorCode::nearest("CM0250"), Some(ErrorCode::WrongForm));
        assert_eq!(ErrorCode::nearest("what"), None);
    }
}
