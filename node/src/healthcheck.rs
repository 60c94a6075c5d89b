//! `seedpod healthcheck`: asks a running pod whether it is ready. For service managers and containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::Listen;
use crate::exit::{Exit, Failure, OrExit};
use crate::fetch::{FetchError, Fetcher};
use crate::reach::Reach;

/// Where a pod says whether it is ready to serve.
const READY_PATH: &str = "/readyz";

/// Largest answer read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// A pod that does not answer by then is not healthy.
const DEADLINE: Duration = Duration::from_secs(5);

/// The base URL under which this machine reaches the pod with these settings.
pub fn local_url(listen: &Listen) -> String {
    let address = match listen.address {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    format!("http://{}", std::net::SocketAddr::new(address, listen.port))
}

/// Asks the pod at this base URL.
///
/// # Errors
/// With the network's exit code when there is no answer, with 1 when the pod says that it is not ready.
pub async fn healthcheck(base_url: &str) -> Result<(), Failure> {
    let url = format!("{}{READY_PATH}", base_url.trim_end_matches('/'));
    // The operator names the pod: on this machine, most often.
    let fetcher = Fetcher::new(Reach::Anywhere).or_exit(Exit::Failed)?;
    match fetcher.get_within(&url, ANSWER_MAX_BYTES, DEADLINE).await {
        Ok(_) => Ok(()),
        Err(error @ (FetchError::Network(_) | FetchError::Timeout(_))) => {
            Err(anyhow::anyhow!(error).context(format!("no answer from {url}"))).or_exit(Exit::Network)
        }
        Err(error) => Err(Failure::new(Exit::Failed, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::fetch::tests::{Answering, answer};

    #[test]
    fn a_pod_open_to_everybody_is_asked_on_this_machine() {
        let url = |address: &str| {
            local_url(&Listen {
                address: address.parse().unwrap(),
                port: 9000,
            })
        };
        assert_eq!(url("0.0.0.0"), "http://127.0.0.1:9000");
        assert_eq!(url("::"), "http://[::1]:9000");
        assert_eq!(url("192.0.2.7"), "http://192.0.2.7:9000");
    }

    #[tokio::test]
    async fn ready_unready_and_absent_are_told_apart() {
        let ready = Answering::start(answer("200 OK", "ready")).await;
        healthcheck(&format!("http://{}/", ready.host())).await.unwrap();
        let unready = Answering::start(answer("503 Service Unavailable", "store: closed")).await;
        let failure = healthcheck(&format!("http://{}", unready.host()))
            .await
            .unwrap_err();
        assert_eq!(failure.exit, Exit::Failed, "{failure}");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let absent = listener.local_addr().unwrap();
        drop(listener);
        let failure = healthcheck(&format!("http://{absent}")).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Network, "{failure}");
    }
}
