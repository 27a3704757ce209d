//! Functions on IP networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use pve_model::{Number as N, Value};

use super::Kind::{Number, String as Text};
use super::strings::string;
use super::{
    FunctionError, bool_type, fail, fail_at, function, list_of_strings, list_string_type, parameter,
    string_type, text, whole,
};

const PREFIX: super::Parameter = parameter("prefix", Text);

pub(super) const FUNCTIONS: &[super::Function] = &[
    function!("cidrhost", [PREFIX, parameter("hostnum", Number)], string_type, |a, _| {
        let network = network(text(a, 0))?;
        let Some(host) = a[1].as_number().and_then(N::to_i128) else {
            return fail_at(1, "a whole number is needed");
        };
        let bits = network.max_prefix_len() - network.prefix_len();
        let size = if bits >= 127 { i128::MAX } else { 1_i128 << bits };
        let offset = if host < 0 { host + size } else { host };
        if offset < 0 || offset >= size {
            return fail_at(1, format!("{network} does not have a host number {host}"));
        }
        string(address_at(network, offset.unsigned_abs()).to_string())
    }),
    function!("cidrnetmask", [PREFIX], string_type, |a, _| match network(text(a, 0))? {
        IpNet::V4(network) => string(network.netmask().to_string()),
        IpNet::V6(_) => fail_at(0, "IPv6 networks have no netmask"),
    }),
    function!(
        "cidrsubnet",
        [PREFIX, parameter("newbits", Number), parameter("netnum", Number)],
        string_type,
        |a, _| {
            let network = network(text(a, 0))?;
            let number = a[2].as_number().and_then(N::to_i128).unwrap_or(-1);
            string(subnet(network, whole(a, 1)?, number)?.to_string())
        }
    ),
    function!("cidrsubnets", [PREFIX], ..parameter("newbits", Number), list_string_type, |a, _| {
        let whole_network = network(text(a, 0))?;
        let mut next: u128 = 0;
        let mut found = Vec::new();
        for i in 1..a.len() {
            let bits = whole(a, i)?;
            let free = i64::from(whole_network.max_prefix_len() - whole_network.prefix_len()) - bits;
            if bits < 1 || free < 0 {
                return fail_at(i, format!("{whole_network} cannot be extended by {bits} bits"));
            }
            let step = 1_u128.checked_shl(u32::try_from(free).unwrap_or(0)).unwrap_or(u128::MAX);
            let start = next.div_ceil(step).saturating_mul(step);
            let number = i128::try_from(start / step).unwrap_or(i128::MAX);
            let subnet = subnet(whole_network, bits, number).map_err(|mut error| {
                error.argument = Some(i);
                error
            })?;
            found.push(subnet.to_string());
            next = start.saturating_add(step);
        }
        Ok(list_of_strings(found))
    }),
    function!(
        "cidrcontains",
        [parameter("containing", Text), parameter("contained", Text)],
        bool_type,
        |a, _| {
            let outer = network(text(a, 0))?;
            let inner: IpNet = match text(a, 1).parse::<IpAddr>() {
                Ok(address) => IpNet::from(address),
                Err(_) => network_at(text(a, 1), 1)?,
            };
            if outer.max_prefix_len() != inner.max_prefix_len() {
                return fail("both must be of one address family");
            }
            Ok(Value::bool(outer.contains(&inner)))
        }
    ),
];

fn network(text: &str) -> Result<IpNet, FunctionError> {
    network_at(text, 0)
}

fn network_at(text: &str, argument: usize) -> Result<IpNet, FunctionError> {
    match text.parse::<IpNet>() {
        Ok(network) => Ok(network.trunc()),
        Err(_) => fail_at(argument, format!("{text:?} is no network in CIDR notation, such as 10.0.0.0/16")),
    }
}

fn address_at(network: IpNet, offset: u128) -> IpAddr {
    match network.network() {
        IpAddr::V4(base) => {
            let offset = u32::try_from(offset).unwrap_or(u32::MAX);
            IpAddr::V4(Ipv4Addr::from(u32::from(base).saturating_add(offset)))
        }
        IpAddr::V6(base) => IpAddr::V6(Ipv6Addr::from(u128::from(base).saturating_add(offset))),
    }
}

fn subnet(network: IpNet, new_bits: i64, number: i128) -> Result<IpNet, FunctionError> {
    let length = i64::from(network.prefix_len()) + new_bits;
    let most = network.max_prefix_len();
    let Some(length) = u8::try_from(length).ok().filter(|length| new_bits >= 0 && *length <= most) else {
        return fail_at(1, format!("{network} cannot be extended by {new_bits} bits: {most} bits in all"));
    };
    let count = 1_i128.checked_shl(u32::try_from(new_bits).unwrap_or(0)).unwrap_or(i128::MAX);
    if number < 0 || (new_bits < 127 && number >= count) {
        return fail_at(2, format!("{new_bits} bits cannot hold the network number {number}"));
    }
    let offset = number.unsigned_abs().checked_shl(u32::from(most - length)).unwrap_or(0);
    let address = address_at(network, offset);
    let result = match address {
        IpAddr::V4(address) => Ipv4Net::new(address, length).map(IpNet::V4),
        IpAddr::V6(address) => Ipv6Net::new(address, length).map(IpNet::V6),
    };
    result.or_else(|error| fail(error.to_string()))
}
