//! IP networks.

use std::net::IpAddr;

use pve_model::{Number, Type, Value};

use super::FunctionError;
use super::parameter::{Call, Function, Outcome, Returns, number, text};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("cidrhost", &[text("prefix"), number("hostnum")], Returns::Text, host),
    Function::new("cidrnetmask", &[text("prefix")], Returns::Text, netmask),
    Function::new(
        "cidrsubnet",
        &[text("prefix"), number("newbits"), number("netnum")],
        Returns::Text,
        subnet,
    ),
    Function::new("cidrsubnets", &[text("prefix")], Returns::Texts, subnets).and_more(number("newbits")),
    Function::new(
        "cidrcontains",
        &[text("containing_prefix"), text("contained_ip_or_prefix")],
        Returns::Flag,
        contains,
    ),
];

/// A network: its first address, the bits of the prefix, and of an address.
#[derive(Clone, Copy)]
struct Network {
    address: u128,
    prefix: u32,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/')?;
        let (address, bits) = parse_address(address)?;
        let well_formed = prefix.len() <= 3 && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|prefix| well_formed && *prefix <= bits)?;
        Some(Network { address: address & !host_mask(bits - prefix), prefix, bits })
    }

    /// The prefix of an IPv4 network in IPv6 notation is written as one of IPv4, as the reference has it.
    fn write(self) -> String {
        let is_mapped = self.bits == 128 && self.prefix >= 96 && self.address >> 32 == 0xffff;
        let prefix = if is_mapped { self.prefix - 96 } else { self.prefix };
        format!("{}/{prefix}", write_address(self.address, self.bits))
    }
}

/// Decimal parts may begin with zeros, as in older tools.
fn parse_address(text: &str) -> Option<(u128, u32)> {
    if !text.contains(':') {
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() != 4 {
            return None;
        }
        let mut address = 0;
        for part in parts {
            let digits_only = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let byte: u8 = part.parse().ok().filter(|_| digits_only)?;
            address = address << 8 | u128::from(byte);
        }
        return Some((address, 32));
    }
    match text.parse().ok()? {
        IpAddr::V6(address) => Some((address.to_bits(), 128)),
        IpAddr::V4(_) => None,
    }
}

fn write_address(address: u128, bits: u32) -> String {
    if bits == 32 {
        std::net::Ipv4Addr::from_bits(address as u32).to_string()
    } else {
        let address = std::net::Ipv6Addr::from_bits(address);
        match address.to_ipv4_mapped() {
            Some(mapped) => mapped.to_string(),
            None => address.to_string(),
        }
    }
}

fn host_mask(bits: u32) -> u128 {
    1u128.checked_shl(bits).map_or(u128::MAX, |mask| mask - 1)
}

fn network(call: &Call<'_>, index: usize) -> Result<Network, FunctionError> {
    let text = call.text(index);
    Network::parse(text).ok_or_else(|| {
        FunctionError::argument(index, format!("\"{text}\" is no network such as 10.0.0.0/16"))
    })
}

fn host(call: &Call<'_>) -> Outcome {
    let network = network(call, 0)?;
    let bits = network.bits - network.prefix;
    let wanted = call.arguments[1].as_number().and_then(Number::to_i128);
    let wanted = wanted.ok_or_else(|| FunctionError::argument(1, "a whole number is required"))?;
    let mask = host_mask(bits);
    let fits = if wanted >= 0 { wanted as u128 <= mask } else { wanted.unsigned_abs() - 1 <= mask };
    if !fits {
        return Err(FunctionError::argument(1, format!("{} has no host {wanted}", network.write())));
    }
    // A negative number counts from the end: -1 is the last address.
    let host = if wanted >= 0 { wanted as u128 } else { mask - (wanted.unsigned_abs() - 1) };
    Ok(Value::string(write_address(network.address | host, network.bits)))
}

fn netmask(call: &Call<'_>) -> Outcome {
    let network = network(call, 0)?;
    if network.bits == 128 && network.address >> 32 == 0xffff {
        let mask = !host_mask(128 - network.prefix);
        return Ok(Value::string(std::net::Ipv6Addr::from_bits(mask).to_string()));
    }
    if network.bits == 128 {
        return Err(FunctionError::argument(0, "IPv6 networks have no netmask"));
    }
    let mask = !host_mask(32 - network.prefix) & u128::from(u32::MAX);
    Ok(Value::string(write_address(mask, 32)))
}

fn extended(network: Network, new_bits: i64, index: usize) -> Result<u32, FunctionError> {
    let room = network.bits - network.prefix;
    u32::try_from(new_bits).ok().filter(|bits| *bits <= room).map(|bits| network.prefix + bits).ok_or_else(
        || FunctionError::argument(index, format!("{} can be extended by 0 to {room} bits", network.write())),
    )
}

fn subnet(call: &Call<'_>) -> Outcome {
    let network = network(call, 0)?;
    let new_bits = call.whole(1)?;
    let prefix = extended(network, new_bits, 1)?;
    let number = call.arguments[2].as_number().and_then(Number::to_i128);
    let number = number.ok_or_else(|| FunctionError::argument(2, "a whole number is required"))?;
    let number = u128::try_from(number).ok().filter(|number| *number <= host_mask(prefix - network.prefix));
    let number = number.ok_or_else(|| {
        FunctionError::argument(2, format!("{new_bits} bits do not hold this number of a network"))
    })?;
    let address = network.address | number.checked_shl(network.bits - prefix).unwrap_or(0);
    Ok(Value::string(Network { address, prefix, bits: network.bits }.write()))
}

fn subnets(call: &Call<'_>) -> Outcome {
    let network = network(call, 0)?;
    let mut next = Some(network.address);
    let last = network.address | host_mask(network.bits - network.prefix);
    let mut found = Vec::new();
    for index in 1..call.arguments.len() {
        let new_bits = call.whole(index)?;
        if new_bits < 1 {
            return Err(FunctionError::argument(index, "a network must be extended by at least one bit"));
        }
        if new_bits > 32 {
            return Err(FunctionError::argument(index, "a network can be extended by 32 bits at most"));
        }
        let prefix = extended(network, new_bits, index)?;
        let mask = host_mask(network.bits - prefix);
        let full = || {
            FunctionError::argument(index, format!("{} has no room left for this network", network.write()))
        };
        let start = next.ok_or_else(full)?;
        // Networks start at multiples of their size.
        let start = if start & mask == 0 { start } else { (start | mask).checked_add(1).ok_or_else(full)? };
        let end = start | mask;
        if end > last || start < network.address {
            return Err(full());
        }
        found.push(Value::string(Network { address: start, prefix, bits: network.bits }.write()));
        next = end.checked_add(1).filter(|next| *next <= last);
    }
    Ok(Value::list(Type::String, found))
}

fn contains(call: &Call<'_>) -> Outcome {
    let outer = network(call, 0)?;
    let text = call.text(1);
    let inner = match parse_address(text) {
        Some((address, bits)) => Network { address, prefix: bits, bits },
        None => Network::parse(text)
            .ok_or_else(|| FunctionError::argument(1, format!("\"{text}\" is no address and no network")))?,
    };
    if inner.bits != outer.bits {
        return Err(FunctionError::argument(1, "both must be of the same version of IP"));
    }
    let same = outer.prefix <= inner.prefix
        && inner.address & !host_mask(outer.bits - outer.prefix) == outer.address;
    Ok(Value::bool(same))
}
