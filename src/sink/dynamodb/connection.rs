//! A client of the service, with what it takes to use it from a plain thread.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials, Region};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;

use super::failed_request::{Cause, FailedRequest, innermost};
use super::retry::{FailedAttempts, Patience, Retries, pause};
use super::table_address::TableAddress;
use crate::pipeline::DynamoDbConfig;
use crate::sink::{SinkError, SinkErrorKind};
use crate::telemetry::Metrics;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for one table. Its clones share what they know.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) table: Arc<TableAddress>,
    pub(super) retries: Arc<Retries>,
    client: Arc<Mutex<Client>>,
    /// Some request was answered: the credentials are, or were, right.
    answered: Arc<AtomicBool>,
    patience: Patience,
}

impl Service {
    /// A client for the table, and the runtime of the calling thread that its requests run on. Sends nothing yet.
    pub(super) fn connect(
        config: &DynamoDbConfig,
        patience: Patience,
        metrics: Arc<Metrics>,
    ) -> Result<(Runtime, Service), SinkError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| SinkError::io("cannot start the thread that talks to DynamoDB", error))?;
        let table = Arc::new(TableAddress::of(config));
        let client = runtime.block_on(async { Client::new(&load_config(&table).await) });
        let service = Service {
            retries: Arc::new(Retries::new(metrics, Arc::clone(&table))),
            table,
            client: Arc::new(Mutex::new(client)),
            answered: Arc::default(),
            patience,
        };
        Ok((runtime, service))
    }

    /// Waits until there are credentials; an error where nobody gives any.
    pub(super) async fn require_credentials(&self) -> Result<(), SinkError> {
        let mut failed = FailedAttempts::default();
        loop {
            let Some(provider) = load_config(&self.table).await.credentials_provider() else { return Ok(()) };
            let Err(error) = provider.provide_credentials().await else { return Ok(()) };
            let waited = self.wait_out(FailedRequest::of_credentials(&error), &mut failed).await;
            waited.map_err(|_| no_credentials(&self.table, &error))?;
        }
    }

    /// Sends a request until it is answered; what may pass is tried again as long as patience lasts.
    pub(super) async fn call<T, E, F>(&self, request: impl Fn(&Client) -> F) -> Result<T, FailedRequest>
    where
        E: Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let mut failed = FailedAttempts::default();
        loop {
            match self.attempt(&request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait_out(failure, &mut failed).await?,
            }
        }
    }

    /// Sends a request once.
    pub(super) async fn attempt<T, E, F>(&self, request: impl FnOnce(&Client) -> F) -> Result<T, FailedRequest>
    where
        E: Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = request(&client).await.map_err(|error| FailedRequest::of(&error))?;
        self.answered.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    /// Waits before another attempt after one more that failed; gives the failure back when there is no use in another.
    pub(super) async fn wait_out(
        &self,
        failure: FailedRequest,
        failed: &mut FailedAttempts,
    ) -> Result<(), FailedRequest> {
        failed.add_one(failure.cause);
        if self.gives_up_on(failure.cause, failed) {
            return Err(failure);
        }
        self.retries.note(&failure);
        tokio::time::sleep(pause(failed.count())).await;
        self.renew_credentials(failure.cause).await;
        Ok(())
    }

    /// Whether another attempt is of no use.
    pub(super) fn gives_up_on(&self, cause: Cause, failed: &FailedAttempts) -> bool {
        self.patience.ends(cause, self.answered.load(Ordering::Relaxed), failed)
    }

    /// Has the next attempt look for credentials anew, where they are why one failed.
    pub(super) async fn renew_credentials(&self, cause: Cause) {
        if matches!(cause, Cause::ExpiredCredentials | Cause::WrongCredentials) {
            // A client keeps the credentials that it has found in files.
            let client = Client::new(&load_config(&self.table).await);
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        }
    }

    /// The error that ends the run or the command.
    pub(super) fn error(&self, doing: &str, failure: FailedRequest) -> SinkError {
        failure.into_error(doing, &self.table)
    }
}

/// What the environment and AWS's files say, as they are now.
async fn load_config(table: &TableAddress) -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(table.request_timeout).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(table.region.clone()))
        // Retries are counted and ordered here.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = &table.endpoint {
        loader = loader.endpoint_url(endpoint);
        if endpoint.starts_with("http://") {
            loader = loader.credentials_provider(local_credentials());
        }
    }
    loader.load().await
}

/// A local stand-in of DynamoDB (nobody talks to AWS in plain text) takes any credentials, and
/// there may be none; AWS's own are then not searched for over the network.
fn local_credentials() -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("profile", ProfileFileCredentialsProvider::builder().build())
        .or_else("any", Credentials::new("local", "local", None, None, "counter-machine"))
}

fn no_credentials(table: &TableAddress, error: &CredentialsError) -> SinkError {
    let detail = innermost(error);
    SinkError::new(format!(
        "DynamoDB: there are no AWS credentials for {table}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_PROFILE, or run where a role gives some ({detail})"
    ))
    .of_kind(SinkErrorKind::Denied)
}
