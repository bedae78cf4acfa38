//! `keeper delegation`.

use super::{
    chain::{Chain, KeyFlags, progress_line, unix_time},
    print,
    source::Source,
};
use alloy::primitives::FixedBytes;
use baton_keeper::delegation::{
    Sent, SignedDelegation, SigningRequest, accept, offer, owner_of, parse_signed, renounce, revoke, sign, standing,
    submit,
};
use baton_protocol::{
    GatewayId, NOBODY,
    delegation::{BlsSecretKey, Delegation},
};
use clap::{Args, Subcommand};
use eyre::{Context, Result, bail};
use std::{fs, io::Read, path::PathBuf};

/// How long a delegation that names no deadline can be submitted.
const DAY: u64 = 86_400;

#[derive(Subcommand)]
pub(super) enum DelegationCommand {
    /// Show validators' delegations and offers
    Show {
        #[command(flatten)]
        validators: Validators,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        source: Source,
    },
    /// Print what validators' keys have to sign, as JSON: for Commit-Boost, and for signers that sign roots
    Message {
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        source: Source,
    },
    /// Sign with validators' keys from a file, for operators without Commit-Boost; prints JSON for `submit`
    Sign {
        #[command(flatten)]
        terms: Terms,
        /// File with the validators' BLS secret keys, in hex, one a line, in the order of the validators
        #[arg(long, env = "BATON_BLS_KEY_FILE", value_name = "FILE")]
        bls_key_file: PathBuf,
        #[command(flatten)]
        source: Source,
    },
    /// Submit signed delegations, as the gateway's owner; revocations (gateway 0) as anybody
    Submit {
        /// What `sign` printed; - for standard input
        #[arg(long, value_name = "FILE", conflicts_with_all = ["validator", "gateway", "deadline", "signature"])]
        signed: Option<PathBuf>,
        /// The validator, if its signature is given as a flag
        #[arg(long, value_name = "INDEX", required_unless_present = "signed")]
        validator: Option<u64>,
        /// The gateway signed for
        #[arg(long, value_name = "ID", required_unless_present = "signed")]
        gateway: Option<GatewayId>,
        /// The deadline signed, Unix time
        #[arg(long, value_name = "SECONDS", required_unless_present = "signed")]
        deadline: Option<u64>,
        /// The signature, compressed, 96 bytes in hex
        #[arg(long, value_name = "HEX", required_unless_present = "signed")]
        signature: Option<FixedBytes<96>>,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        source: Source,
    },
    /// Offer validators to a gateway, as their withdrawal address
    Offer {
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        source: Source,
    },
    /// Accept offers, as the gateway's owner
    Accept {
        #[command(flatten)]
        validators: Validators,
        /// The gateway
        #[arg(long, value_name = "ID")]
        gateway: GatewayId,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        source: Source,
    },
    /// Revoke delegations, and offers and signatures not used yet, as the validators' withdrawal address
    Revoke {
        #[command(flatten)]
        validators: Validators,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        source: Source,
    },
    /// Give delegations back, as the owner of the gateway that they are to
    Renounce {
        #[command(flatten)]
        validators: Validators,
        #[command(flatten)]
        key: KeyFlags,
        #[command(flatten)]
        source: Source,
    },
}

/// Which validators.
#[derive(Args)]
pub(super) struct Validators {
    /// The validators' indices
    #[arg(required = true, value_name = "VALIDATOR")]
    validators: Vec<u64>,
}

/// What is delegated to whom until when.
#[derive(Args)]
pub(super) struct Terms {
    #[command(flatten)]
    validators: Validators,
    /// The gateway; 0 to revoke by signature
    #[arg(long, value_name = "ID")]
    gateway: GatewayId,
    /// Until when it can be used, Unix time; a day from now, if left out
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
}

impl Terms {
    fn deadline(&self) -> Result<u64> {
        let now = unix_time();
        match self.deadline {
            Some(deadline) if deadline <= now => bail!("--deadline {deadline} has passed; now it is {now} (Unix time)"),
            Some(deadline) => Ok(deadline),
            None => Ok(now + DAY),
        }
    }

    /// What is to be signed, with the nonces that the registry asks for.
    async fn delegations(&self, chain: &Chain) -> Result<Vec<Delegation>> {
        if self.gateway != NOBODY {
            owner_of(&chain.l1, self.gateway).await?;
        }
        let deadline = self.deadline()?;
        let mut delegations = Vec::new();
        for index in &self.validators.validators {
            let nonce = standing(&chain.l1, *index).await?.nonce;
            delegations.push(Delegation { validatorIndex: *index, gateway: self.gateway, nonce, deadline });
        }
        Ok(delegations)
    }
}

impl DelegationCommand {
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Show { validators, json, source } => show(&validators.validators, json, &source).await,
            Self::Message { terms, source } => {
                let chain = Chain::connect(source.command()?).await?;
                let domain = chain.domain();
                let delegations = terms.delegations(&chain).await?;
                let requests: Vec<_> = delegations.iter().map(|terms| SigningRequest::new(&domain, terms)).collect();
                print(&serde_json::to_string_pretty(&requests)?)
            }
            Self::Sign { terms, bls_key_file, source } => {
                let keys = bls_keys(&bls_key_file)?;
                let (keyed, named) = (keys.len(), terms.validators.validators.len());
                if keyed != named {
                    bail!(
                        "--bls-key-file {} holds {keyed} keys for {named} validators; give one a line, in the validators' order",
                        bls_key_file.display()
                    );
                }
                let chain = Chain::connect(source.command()?).await?;
                let domain = chain.domain();
                let delegations = terms.delegations(&chain).await?;
                let signed: Vec<_> =
                    delegations.iter().zip(&keys).map(|(terms, key)| sign(&domain, terms, key)).collect();
                print(&serde_json::to_string_pretty(&signed)?)
            }
            Self::Submit { signed, validator, gateway, deadline, signature, key, source } => {
                let config = source.command()?;
                let chain = Chain::connect(config).await?;
                let signed = match (signed, validator, gateway, deadline, signature) {
                    (Some(file), ..) => parse_signed(&read(&file)?).wrap_err_with(|| file.display().to_string())?,
                    (None, Some(validator_index), Some(gateway), Some(deadline), Some(signature)) => {
                        // A signature over another nonce is found out.
                        let nonce = standing(&chain.l1, validator_index).await?.nonce;
                        vec![SignedDelegation {
                            validator_index,
                            gateway,
                            nonce,
                            deadline,
                            public_key: None,
                            signature,
                        }]
                    }
                    _ => bail!("give --signed, or --validator, --gateway, --deadline and --signature"),
                };
                let (beacon, sender) = (chain.beacon()?, chain.sender(&key.source())?);
                let (domain, slot_length, progress) = (chain.domain(), chain.parameters.slotLength, progress_line());
                let sent =
                    submit(&chain.l1, &beacon, &sender, &domain, &signed, unix_time(), slot_length, &progress).await?;
                tell(&sent)
            }
            Self::Offer { terms, key, source } => {
                let deadline = terms.deadline()?;
                if terms.gateway == NOBODY {
                    bail!("--gateway 0 is nobody; take `keeper delegation revoke` to revoke");
                }
                let chain = Chain::connect(source.command()?).await?;
                let (beacon, sender) = (chain.beacon()?, chain.sender(&key.source())?);
                let (validators, progress) = (&terms.validators.validators, progress_line());
                let slot_length = chain.parameters.slotLength;
                tell(
                    &offer(&chain.l1, &beacon, &sender, validators, terms.gateway, deadline, slot_length, &progress)
                        .await?,
                )
            }
            Self::Accept { validators, gateway, key, source } => {
                let chain = Chain::connect(source.command()?).await?;
                let sender = chain.sender(&key.source())?;
                let slot_length = chain.parameters.slotLength;
                tell(&accept(&chain.l1, &sender, &validators.validators, gateway, slot_length).await?)
            }
            Self::Revoke { validators, key, source } => {
                let chain = Chain::connect(source.command()?).await?;
                let (beacon, sender) = (chain.beacon()?, chain.sender(&key.source())?);
                let slot_length = chain.parameters.slotLength;
                let progress = progress_line();
                tell(&revoke(&chain.l1, &beacon, &sender, &validators.validators, slot_length, &progress).await?)
            }
            Self::Renounce { validators, key, source } => {
                let chain = Chain::connect(source.command()?).await?;
                let sender = chain.sender(&key.source())?;
                tell(&renounce(&chain.l1, &sender, &validators.validators, chain.parameters.slotLength).await?)
            }
        }
    }
}

async fn show(validators: &[u64], json: bool, source: &Source) -> Result<()> {
    let chain = Chain::connect(source.command()?).await?;
    let mut standings = Vec::new();
    for index in validators {
        standings.push(standing(&chain.l1, *index).await?);
    }
    if json {
        return print(&serde_json::to_string_pretty(&standings)?);
    }
    print(&standings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// One line a validator; an error if any of them failed, so that scripts notice.
fn tell(sent: &[Sent]) -> Result<()> {
    print(&sent.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let failed = sent.iter().filter(|sent| !sent.succeeded()).count();
    if failed > 0 {
        bail!("{failed} of {} transactions weren't included as they should; see above", sent.len());
    }
    Ok(())
}

fn read(file: &PathBuf) -> Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file).wrap_err_with(|| format!("--signed {} can't be read", file.display()))
}

/// Errors name the line and never what stands there.
fn bls_keys(file: &PathBuf) -> Result<Vec<BlsSecretKey>> {
    let text = fs::read_to_string(file).wrap_err_with(|| format!("--bls-key-file {} can't be read", file.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            line.parse().wrap_err_with(|| format!("--bls-key-file {}, line {}", file.display(), number + 1))
        })
        .collect()
}
