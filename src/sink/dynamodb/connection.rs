//! A client of the service, with what it takes to use it from a plain thread.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials, Region};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;

use super::failure::{Cause, Failure, innermost};
use super::retry::{Patience, Retries};
use crate::pipeline::DynamoDbConfig;
use crate::sink::SinkError;
use crate::telemetry::Metrics;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole request; DynamoDB answers within a fraction of a second, or not at all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// New credentials are waited for that often.
const ATTEMPTS_WITH_EXPIRED_CREDENTIALS: u32 = 8;

/// Where the table is, for messages.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) table: String,
    region: String,
    endpoint: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} in {}", self.table, self.region)?;
        self.endpoint.iter().try_for_each(|endpoint| write!(f, " at {endpoint}"))
    }
}

/// A client for one table. Its clones share what they know.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) client: Client,
    pub(super) place: Arc<Place>,
    pub(super) retries: Arc<Retries>,
    patience: Patience,
}

impl Service {
    /// A client for the table, and the runtime of the calling thread that its requests run on.
    pub(super) fn connect(
        config: &DynamoDbConfig,
        patience: Patience,
        metrics: Arc<Metrics>,
    ) -> Result<(Runtime, Service), SinkError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| SinkError::io("cannot start the thread that talks to DynamoDB", error))?;
        let place =
            Place { table: config.table.clone(), region: config.region.clone(), endpoint: config.endpoint.clone() };
        let client = runtime.block_on(client(&place))?;
        let retries = Arc::new(Retries::new(metrics));
        Ok((runtime, Service { client, place: Arc::new(place), retries, patience }))
    }

    /// Sends a request until it is answered; what may pass is tried again as long as patience lasts.
    pub(super) async fn call<T, E, F>(&self, request: impl Fn(&Client) -> F) -> Result<T, Failure>
    where
        E: Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let mut failed = 0;
        loop {
            let failure = match request(&self.client).await {
                Ok(answer) => return Ok(answer),
                Err(error) => Failure::of(&error),
            };
            failed += 1;
            self.wait_out(failure, failed).await?;
        }
    }

    /// Waits before another attempt, after `failed` ones in a row; gives the failure back when
    /// there is no use in another.
    pub(super) async fn wait_out(&self, failure: Failure, failed: u32) -> Result<(), Failure> {
        let gives_up = match failure.cause {
            Cause::Passing => self.patience.ends_after(failed),
            Cause::ExpiredCredentials => {
                failed >= ATTEMPTS_WITH_EXPIRED_CREDENTIALS || self.patience.ends_after(failed)
            }
            _ => true,
        };
        if gives_up {
            return Err(failure);
        }
        self.retries.pause(failed, &failure.text).await;
        Ok(())
    }

    /// The error that ends the run or the command.
    pub(super) fn error(&self, doing: &str, failure: Failure) -> SinkError {
        failure.into_error(doing, &self.place)
    }
}

async fn client(place: &Place) -> Result<Client, SinkError> {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(REQUEST_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        // Retries are counted and ordered here.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    if let Some(endpoint) = &place.endpoint {
        loader = loader.endpoint_url(endpoint);
        if endpoint.starts_with("http://") {
            loader = loader.credentials_provider(local_credentials());
        }
    }
    let config = loader.load().await;
    if let Some(provider) = config.credentials_provider() {
        provider.provide_credentials().await.map_err(|error| no_credentials(place, &error))?;
    }
    Ok(Client::new(&config))
}

/// A local stand-in of DynamoDB (nobody talks to AWS in plain text) takes any credentials, and
/// there may be none; AWS's own are then not searched for over the network.
fn local_credentials() -> CredentialsProviderChain {
    CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
        .or_else("profile", ProfileFileCredentialsProvider::builder().build())
        .or_else("any", Credentials::new("local", "local", None, None, "counter-machine"))
}

fn no_credentials(place: &Place, error: &(dyn Error + 'static)) -> SinkError {
    let detail = innermost(error);
    SinkError::new(format!(
        "DynamoDB: there are no AWS credentials for {place}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
         AWS_PROFILE, or run where a role gives some ({detail})"
    ))
}
