//! What a failed request means: whether it may pass, and if not, what to do about it.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::connection::Place;
use crate::sink::{SinkError, SinkErrorKind};

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// What the service or the connection said.
    pub(super) text: String,
}

/// Why a request failed, as far as it matters for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It may pass: no connection, no answer in time, too much at once, trouble at the other end.
    Passing,
    /// The credentials have run out; the next ones may be there soon.
    ExpiredCredentials,
    /// Something in the request is not allowed.
    Invalid,
    /// There is no such table.
    NoTable,
    /// The table is there already, or is just being changed.
    InUse,
    /// The credentials are wrong, or do not allow this.
    Denied,
    /// Anything else that will not pass.
    Other,
}

impl Failure {
    pub(super) fn of<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E>) -> Failure {
        let (cause, text) = match error {
            SdkError::ServiceError(service) => {
                let code = error.code().unwrap_or_default();
                let message = error.message().unwrap_or("no message");
                (cause_of_answer(service.raw().status().as_u16(), code), format!("{code}: {message}"))
            }
            SdkError::ConstructionFailure(_) => (Cause::Other, innermost(error)),
            SdkError::DispatchFailure(failure) if failure.is_user() => (Cause::Other, innermost(error)),
            _ => (Cause::Passing, innermost(error)),
        };
        Failure { cause, text }
    }

    /// The error that ends the run or the command, while it was `doing` something.
    pub(super) fn into_error(self, doing: &str, place: &Place) -> SinkError {
        let Failure { cause, text } = self;
        let table = &place.table;
        let what_to_do = match cause {
            Cause::NoTable => {
                format!("the table {table} does not exist; create it with `counter-machine table PIPELINE`")
            }
            Cause::Denied | Cause::ExpiredCredentials => {
                format!("look at the AWS credentials, and at what they allow on the table {table}")
            }
            Cause::Passing => "see that the service can be reached, and start again".to_owned(),
            Cause::InUse => "wait until the table is no longer being changed, and start again".to_owned(),
            Cause::Invalid => "what DynamoDB does not allow should not have come this far: a bug".to_owned(),
            Cause::Other => "see what the service says".to_owned(),
        };
        let kind = match cause {
            Cause::Passing => SinkErrorKind::ServiceLost,
            Cause::NoTable => SinkErrorKind::Gone,
            _ => SinkErrorKind::Failed,
        };
        SinkError::new(format!("DynamoDB: cannot {doing} ({place}): {text} ({what_to_do})")).of_kind(kind)
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

/// By the error codes of the service's API reference ("Error handling with DynamoDB").
fn cause_of_answer(status: u16, code: &str) -> Cause {
    match code {
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "LimitExceededException"
        | "ReplicatedWriteConflictException"
        | "RequestTimeout"
        | "InternalServerError"
        | "ServiceUnavailable" => Cause::Passing,
        "ExpiredTokenException" | "ExpiredToken" => Cause::ExpiredCredentials,
        "ValidationException" => Cause::Invalid,
        "ResourceNotFoundException" => Cause::NoTable,
        "ResourceInUseException" => Cause::InUse,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken" => Cause::Denied,
        _ if status >= 500 || status == 429 => Cause::Passing,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let causes = [
            (400, "ThrottlingException", Cause::Passing),
            (400, "ProvisionedThroughputExceededException", Cause::Passing),
            (500, "InternalServerError", Cause::Passing),
            (503, "", Cause::Passing),
            (400, "ExpiredTokenException", Cause::ExpiredCredentials),
            (400, "ValidationException", Cause::Invalid),
            (400, "ResourceNotFoundException", Cause::NoTable),
            (400, "AccessDeniedException", Cause::Denied),
            (400, "SomethingNew", Cause::Other),
        ];
        for (status, code, cause) in causes {
            assert_eq!(cause_of_answer(status, code), cause, "{code}");
        }
    }
}
