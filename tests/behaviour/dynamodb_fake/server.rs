//! From a request to its answer: over HTTP, through the faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State as Extracted};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::runtime::Handle;

use super::answer::{Answer, Refusal};
use super::connection::Breaker;
use super::control;
use super::faults::{self, Fault, Holding};
use super::read;
use super::state::State;
use super::write::Writes;

/// What the service takes in one request.
const MOST_BYTES: usize = 16 << 20;
/// How often it is looked whether a black hole has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What happens to a request that writes: by its number, or by all that can be seen of it.
pub enum Plan {
    Numbers(Box<dyn Fn(u64) -> Fault + Send + Sync>),
    Requests(Box<dyn Fn(&faults::Request) -> Fault + Send + Sync>),
}

pub struct Shared {
    pub state: Mutex<State>,
    pub plan: Plan,
    /// Where requests are carried out that outlive their connection.
    pub background: Handle,
}

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // A test that fails may hold it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

/// What whoever sent a request gets.
enum Outcome {
    Answered(Answer),
    Broken,
    Silence,
}

async fn serve(
    Extracted(shared): Extracted<Arc<Shared>>,
    ConnectInfo(breaker): ConnectInfo<Breaker>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MOST_BYTES).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, [(header::CONNECTION, "close")], r#"{"message":""}"#).into_response();
    };
    match outcome(&shared, &head.headers, &bytes).await {
        Outcome::Answered(answer) => respond(answer),
        Outcome::Silence => std::future::pending().await,
        Outcome::Broken => {
            breaker.break_it();
            Response::new(Body::empty())
        }
    }
}

fn respond(answer: Answer) -> Response {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.status, refusal.body()),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response()
}

async fn outcome(shared: &Arc<Shared>, headers: &HeaderMap, bytes: &[u8]) -> Outcome {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = text("x-amz-target").strip_prefix("DynamoDB_20120810.").unwrap_or_default();
    if shared.lock().script.black_hole {
        while shared.lock().script.black_hole {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        return Outcome::Broken;
    }
    let read_latency = {
        let mut state = shared.lock();
        if let Err(refusal) = admit(&mut state, operation, text("authorization")) {
            return Outcome::Answered(Err(refusal));
        }
        state.script.read_latency
    };
    let writing = ["BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem"];
    if let Some(operation) = writing.into_iter().find(|writing| *writing == operation) {
        return write(shared, operation, bytes).await;
    }
    if !read_latency.is_zero() {
        tokio::time::sleep(read_latency).await;
    }
    let mut state = shared.lock();
    Outcome::Answered(match operation {
        "GetItem" => read::get(bytes, &mut state),
        "BatchGetItem" => read::batch_get(bytes, &mut state),
        "Query" => read::query_or_scan(true, bytes, &mut state),
        "Scan" => read::query_or_scan(false, bytes, &mut state),
        _ => control::answer(operation, bytes, &mut state).unwrap_or_else(|| Err(unknown_operation())),
    })
}

fn unknown_operation() -> Refusal {
    Refusal::new(400, "UnknownOperationException", "")
}

/// What is refused before anything of it is looked at.
fn admit(state: &mut State, operation: &str, authorization: &str) -> Result<(), Refusal> {
    match state.requests.get_mut(operation) {
        Some(count) => *count += 1,
        None => drop(state.requests.insert(operation.to_owned(), 1)),
    }
    if let Some(trouble) = state.trouble.filter(|trouble| ["*", operation].contains(&trouble.operation)) {
        state.troubled += 1;
        return Err(Refusal::new(400, trouble.code, trouble.message));
    }
    if authorization.is_empty() {
        let message = "Request is missing Authentication Token";
        return Err(Refusal::new(400, "MissingAuthenticationTokenException", message));
    }
    if let Some(expired) = &state.script.expired_access_key
        && authorization.contains(&format!("Credential={expired}/"))
    {
        state.troubled += 1;
        let message = "The security token included in the request is expired";
        return Err(Refusal::new(400, "ExpiredTokenException", message));
    }
    if state.script.unknown_operations.contains(&operation) {
        return Err(unknown_operation());
    }
    Ok(())
}

async fn write(shared: &Arc<Shared>, operation: &'static str, bytes: &[u8]) -> Outcome {
    let (writes, fault, delay, is_held) = {
        let mut state = shared.lock();
        let number = state.writes;
        state.writes += 1;
        let writes = match Writes::parse(operation, bytes, &mut state) {
            Ok(writes) => writes,
            Err(refusal) => return Outcome::Answered(Err(refusal)),
        };
        let fault = match &shared.plan {
            Plan::Numbers(plan) => plan(number),
            Plan::Requests(plan) => plan(&writes.request(number, &state)),
        };
        writes.begin(&mut state);
        let delay = state.script.latency + fault.delay();
        (writes, fault, delay, state.script.holding == Holding::WhatComes)
    };
    if is_held {
        let_go(&writes, &mut shared.lock());
        carry_out_later(shared, writes, |state| state.script.holding == Holding::Nothing);
        return Outcome::Silence;
    }
    match fault {
        Fault::LateAfterBreak(after) | Fault::LateInSilence(after) => {
            let_go(&writes, &mut shared.lock());
            let due = Instant::now() + after;
            carry_out_later(shared, writes, move |_| Instant::now() >= due);
            return if matches!(fault, Fault::LateInSilence(_)) { Outcome::Silence } else { Outcome::Broken };
        }
        Fault::Silence(lasts) => {
            let_go(&writes, &mut shared.lock());
            tokio::time::sleep(lasts).await;
            return Outcome::Broken;
        }
        _ => {}
    }
    let answer_delay = match fault {
        Fault::AnswerDelayed(delay) => delay,
        _ => Duration::ZERO,
    };
    let outcome = if delay.is_zero() {
        finish(&writes, &fault, &mut shared.lock())
    } else {
        // It is carried out whether or not whoever sent it still waits.
        let shared = Arc::clone(shared);
        let carried_out = shared.background.clone().spawn(async move {
            tokio::time::sleep(delay).await;
            finish(&writes, &fault, &mut shared.lock())
        });
        carried_out.await.unwrap_or(Outcome::Broken)
    };
    if !answer_delay.is_zero() {
        tokio::time::sleep(answer_delay).await;
    }
    outcome
}

/// Whoever sent the request will not hear of it.
fn let_go(writes: &Writes, state: &mut State) {
    state.failed_requests += 1;
    writes.end(state);
}

fn carry_out_later(shared: &Arc<Shared>, writes: Writes, is_due: impl Fn(&State) -> bool + Send + 'static) {
    shared.lock().late_requests += 1;
    let shared = Arc::clone(shared);
    shared.background.clone().spawn(async move {
        loop {
            {
                let mut state = shared.lock();
                if is_due(&state) {
                    // Nobody hears what became of it.
                    let _ = writes.carry_out(&mut state, &Fault::None, true);
                    state.late_requests -= 1;
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

/// Carries a request out whose time has come.
fn finish(writes: &Writes, fault: &Fault, state: &mut State) -> Outcome {
    let outcome = match fault {
        Fault::RequestLost => Outcome::Broken,
        Fault::Refused(status, code) => Outcome::Answered(Err(Refusal::new(*status, code, "as planned"))),
        _ => {
            let answer = writes.carry_out(state, fault, false);
            match fault {
                Fault::AnswerLost => Outcome::Broken,
                Fault::Duplicated => Outcome::Answered(writes.carry_out(state, fault, false)),
                _ => Outcome::Answered(answer),
            }
        }
    };
    let all_written = match &outcome {
        Outcome::Answered(Ok(answer)) => answer.get("UnprocessedItems").is_none_or(|left| *left == json!({})),
        Outcome::Answered(Err(refusal)) => {
            ["ValidationException", "ConditionalCheckFailedException"].contains(&refusal.code.as_str())
        }
        _ => false,
    };
    state.failed_requests += u64::from(!all_written);
    writes.end(state);
    outcome
}
