//! What a request is answered with.

use serde_json::{Map, Value as Json, json};

/// A refusal: a status, an error code, a message, and what else its body holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub more: Map<String, Json>,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.into(), more: Map::new() }
    }

    pub fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "ValidationException", message)
    }

    pub fn no_table() -> Refusal {
        Refusal::new(400, "ResourceNotFoundException", "Requested resource not found")
    }

    pub fn body(&self) -> Json {
        let namespace = match self.code.as_str() {
            "ValidationException" => "com.amazon.coral.validate",
            "SerializationException"
            | "UnknownOperationException"
            | "ThrottlingException"
            | "InvalidSignatureException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "MissingAuthenticationTokenException" => "com.amazon.coral.service",
            _ => "com.amazonaws.dynamodb.v20120810",
        };
        let mut body = self.more.clone();
        body.insert("__type".to_owned(), json!(format!("{namespace}#{}", self.code)));
        body.insert("message".to_owned(), json!(self.message));
        Json::Object(body)
    }
}

/// An answer's body.
pub type Answer = Result<Json, Refusal>;
