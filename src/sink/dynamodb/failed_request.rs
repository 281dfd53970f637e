//! What a failed request means: whether it may pass, and if not, what to do about it.

use std::error::Error;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::table_address::TableAddress;
use crate::sink::{SinkError, SinkErrorKind};

/// A request that failed.
#[derive(Debug)]
pub(super) struct FailedRequest {
    pub(super) cause: Cause,
    pub(super) certainty: Certainty,
    /// What the service or the connection said.
    pub(super) text: String,
}

/// Whether what was asked for can have been done, or can be yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// It never left, or was refused.
    NotDone,
    /// There was no answer, or one that does not say.
    Unknown,
}

/// Why a request failed, as far as it matters for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// It may pass: no connection, no answer in time, trouble at the other end.
    Passing,
    /// Too much at once.
    Throttled,
    /// The clocks here and there differ by minutes; they will be set.
    ClockSkew,
    /// The credentials have run out; the next ones may be there soon.
    ExpiredCredentials,
    /// Whoever gives credentials (the instance, a token service, a program) does not, for now.
    NoCredentialsNow,
    /// The credentials are wrong, or there are none. Where they were right before, they are being changed.
    WrongCredentials,
    /// Something in the request is not allowed.
    Invalid,
    /// The table has another key than the request's.
    WrongKey,
    /// There is no such table.
    NoTable,
    /// The table is there already, or is just being changed.
    InUse,
    /// The credentials do not allow this.
    Denied,
    /// Anything else that will not pass.
    Other,
}

impl Cause {
    /// Its name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Cause::Passing => "unavailable",
            Cause::Throttled => "throttled",
            Cause::ClockSkew => "clock_skew",
            Cause::ExpiredCredentials => "expired_credentials",
            Cause::NoCredentialsNow => "no_credentials",
            Cause::WrongCredentials => "wrong_credentials",
            Cause::Invalid => "invalid",
            Cause::WrongKey => "wrong_key",
            Cause::NoTable => "no_table",
            Cause::InUse => "in_use",
            Cause::Denied => "denied",
            Cause::Other => "other",
        }
    }
}

impl FailedRequest {
    pub(super) fn of<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>) -> FailedRequest {
        let (cause, certainty, text) = match error {
            SdkError::ServiceError(service) => {
                let (code, status) = (error.code().unwrap_or_default(), service.raw().status().as_u16());
                let message = error.message().unwrap_or("no message");
                // "If you get a 5xx error, the operation may have succeeded."
                let certainty = if status >= 500 { Certainty::Unknown } else { Certainty::NotDone };
                (cause_of_answer(status, code, message), certainty, format!("{code}: {message}"))
            }
            SdkError::ConstructionFailure(_) => (Cause::Other, Certainty::NotDone, innermost(error)),
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                (Cause::Other, Certainty::NotDone, innermost(error))
            }
            _ => match credentials_error(error) {
                Some(credentials) => (cause_of_credentials_error(credentials), Certainty::NotDone, innermost(error)),
                None if never_left(error) => (Cause::Passing, Certainty::NotDone, innermost(error)),
                None => (Cause::Passing, Certainty::Unknown, innermost(error)),
            },
        };
        FailedRequest { cause, certainty, text }
    }

    /// Too much at once: some of what was asked for was not done.
    pub(super) fn throttled(text: String) -> FailedRequest {
        FailedRequest { cause: Cause::Throttled, certainty: Certainty::NotDone, text }
    }

    /// A failure to get credentials at all.
    pub(super) fn of_credentials(error: &CredentialsError) -> FailedRequest {
        FailedRequest {
            cause: cause_of_credentials_error(error),
            certainty: Certainty::NotDone,
            text: innermost(error),
        }
    }

    /// What is going on, for whoever waits.
    pub(super) fn told(&self) -> String {
        let what = match self.cause {
            Cause::ClockSkew => "the clock of this machine is wrong, or the service's: ",
            Cause::ExpiredCredentials => "the AWS credentials have expired, new ones are waited for: ",
            Cause::NoCredentialsNow => "whoever gives the AWS credentials does not answer: ",
            Cause::WrongCredentials => "the AWS credentials were right before and are refused now: ",
            _ => "",
        };
        format!("{what}{}", self.text)
    }

    /// The error that ends the run or the command, while it was `doing` something.
    pub(super) fn into_error(self, doing: &str, table: &TableAddress) -> SinkError {
        let FailedRequest { cause, text, .. } = self;
        let name = &table.name;
        let what_to_do = match cause {
            Cause::NoTable => {
                format!("the table {name} does not exist; create it with `counter-machine table PIPELINE`")
            }
            Cause::Denied | Cause::ExpiredCredentials | Cause::WrongCredentials => {
                format!("look at the AWS credentials, and at what they allow on the table {name}")
            }
            Cause::NoCredentialsNow => "look at where the AWS credentials come from, and start again".to_owned(),
            Cause::ClockSkew => "set the clock of this machine, and start again".to_owned(),
            Cause::Passing | Cause::Throttled => "see that the service can be reached, and start again".to_owned(),
            Cause::WrongKey => {
                format!("the table {name} has another key than the pipeline's items: name another table in [dynamodb]")
            }
            Cause::InUse => "wait until the table is no longer being changed, and start again".to_owned(),
            Cause::Invalid => "what DynamoDB does not allow should not have come this far: a bug".to_owned(),
            Cause::Other => "see what the service says".to_owned(),
        };
        let kind = match cause {
            Cause::Passing | Cause::Throttled => SinkErrorKind::ServiceLost,
            Cause::NoTable => SinkErrorKind::NoTable,
            Cause::WrongKey => SinkErrorKind::WrongKey,
            Cause::Denied | Cause::ExpiredCredentials | Cause::WrongCredentials | Cause::NoCredentialsNow => {
                SinkErrorKind::Denied
            }
            _ => SinkErrorKind::Failed,
        };
        SinkError::new(format!("DynamoDB: cannot {doing} ({table}): {text} ({what_to_do})")).of_kind(kind)
    }
}

/// The error and its innermost cause, which says most: what is between them are the library's layers.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        next = cause.source();
        if next.is_none() {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Whether it is certain that there was no connection, so that nothing was sent. (A connection that is not made in time may
/// look like one that is silent.)
fn never_left(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
            );
        }
        next = error.source();
    }
    false
}

/// The failure to get credentials that is behind this error, if one is.
fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn cause_of_credentials_error(error: &CredentialsError) -> Cause {
    match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            Cause::WrongCredentials
        }
        _ => Cause::NoCredentialsNow,
    }
}

/// By the error codes of the service's API reference ("Error handling with DynamoDB", "Common errors").
fn cause_of_answer(status: u16, code: &str, message: &str) -> Cause {
    match code {
        // "Signature expired: 20240211T... is now earlier than ...", "Signature not yet current: ...".
        "InvalidSignatureException" | "SignatureDoesNotMatch"
            if ["Signature expired", "Signature not yet current"].iter().any(|text| message.contains(text)) =>
        {
            Cause::ClockSkew
        }
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Cause::ClockSkew,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "LimitExceededException" => Cause::Throttled,
        "ReplicatedWriteConflictException" | "RequestTimeout" | "InternalServerError" | "ServiceUnavailable" => {
            Cause::Passing
        }
        "ExpiredTokenException" | "ExpiredToken" => Cause::ExpiredCredentials,
        // "The provided key element does not match the schema", "Missing the key keyFields in the item".
        "ValidationException"
            if ["does not match the schema", "Missing the key"].iter().any(|text| message.contains(text)) =>
        {
            Cause::WrongKey
        }
        "ValidationException" => Cause::Invalid,
        "ResourceNotFoundException" => Cause::NoTable,
        "ResourceInUseException" => Cause::InUse,
        "AccessDeniedException" | "AccessDenied" => Cause::Denied,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken" => Cause::WrongCredentials,
        _ if status == 429 => Cause::Throttled,
        _ if status >= 500 => Cause::Passing,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let causes = [
            (400, "ThrottlingException", Cause::Throttled),
            (400, "ProvisionedThroughputExceededException", Cause::Throttled),
            (500, "InternalServerError", Cause::Passing),
            (503, "", Cause::Passing),
            (400, "ExpiredTokenException", Cause::ExpiredCredentials),
            (400, "ValidationException", Cause::Invalid),
            (400, "ResourceNotFoundException", Cause::NoTable),
            (400, "AccessDeniedException", Cause::Denied),
            (400, "UnrecognizedClientException", Cause::WrongCredentials),
            (403, "RequestTimeTooSkewed", Cause::ClockSkew),
            (400, "RequestExpired", Cause::ClockSkew),
            (400, "SomethingNew", Cause::Other),
        ];
        for (status, code, cause) in causes {
            assert_eq!(cause_of_answer(status, code, "no message"), cause, "{code}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_from_a_key_that_is() {
        let messages = [
            (
                "Signature expired: 20240211T100000Z is now earlier than 20240211T100500Z (20240211T101000Z - 5 min.)",
                Cause::ClockSkew,
            ),
            ("Signature not yet current: 20240211T101100Z is still later than 20240211T101000Z", Cause::ClockSkew),
            ("The request signature we calculated does not match the signature you provided.", Cause::WrongCredentials),
        ];
        for code in ["InvalidSignatureException", "SignatureDoesNotMatch"] {
            for (message, cause) in messages {
                assert_eq!(cause_of_answer(400, code, message), cause, "{message}");
            }
        }
    }
}
