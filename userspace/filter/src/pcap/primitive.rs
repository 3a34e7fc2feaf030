//! What stands between `and` and `or`: hosts, networks, ports, protocols, tags.
//!
//! Such a part says its layer, its way and its kind in front of an address or number: `tcp dst port 80`. What says none of
//! them is like the one before it: `port 80 or 443`.

use super::cursor::Parser;
use super::error::FilterError;
use super::lexer::{Kind, Token};
use super::names::{self, Layer};
use super::qualifiers::{Id, Qualifiers, Way, What};
use super::relation::number;
use crate::condition::{Comparison, Condition};
use crate::field::Field;
use std::net::{IpAddr, Ipv4Addr};

/// The part of a layer that is all of it.
pub(super) fn of_layer(layer: Layer) -> Condition {
    let equal = |field, number: u16| Condition::compare(field, Comparison::Equal, number.into());
    let version_is = |version: u8| equal(Field::IpVersion, version.into());
    match layer {
        Layer::Ether => Condition::All(vec![]),
        Layer::Ip(version) => version_is(version),
        Layer::Type(ethertype) => equal(Field::Ethertype, ethertype),
        Layer::Protocol(number, version) => {
            let protocol = equal(Field::Protocol, number.into());
            Condition::All(version.map(version_is).into_iter().chain([protocol]).collect())
        }
    }
}

/// What has only two values, as all parts of a filter.
pub(super) fn is_true(parts: Vec<Condition>) -> Condition {
    Condition::IsTrue(Box::new(Condition::All(parts)))
}

pub(super) fn is(field: Field, comparison: Comparison, number: u64) -> Condition {
    is_true(vec![Condition::compare(field, comparison, number.into())])
}

impl<'a> Parser<'a> {
    /// The part that begins here.
    pub(super) fn primitive(&mut self) -> Result<Condition, FilterError> {
        let token = self.peek();
        let Kind::Word(word) = token.kind else {
            let help = "write e.g. tcp port 443, host 10.0.0.1, net 10.0.0.0/8, vlan 5 or len > 1000";
            return Err(self.refuse(token, "here a part of the filter is missing", help));
        };
        if let Some((_, help)) = names::UNSAID.iter().find(|(unsaid, _)| *unsaid == word) {
            return Err(self.refuse(token, format!("`{word}` looks at what no column holds"), *help));
        }
        match word {
            "vlan" => self.vlan(),
            "mpls" => self.mpls(),
            "pppoes" => self.session(),
            "pppoed" => Ok(self.constant(Field::Ethertype, 0x8863)),
            "inbound" => Ok(self.constant(Field::Direction, 0)),
            "outbound" => Ok(self.constant(Field::Direction, 1)),
            "less" => self.length(Comparison::LessOrEqual),
            "greater" => self.length(Comparison::GreaterOrEqual),
            "broadcast" | "multicast" => self.many(token, Layer::Ether),
            _ => self.qualified(),
        }
    }

    fn constant(&mut self, field: Field, number: u64) -> Condition {
        self.next();
        is(field, Comparison::Equal, number)
    }

    fn vlan(&mut self) -> Result<Condition, FilterError> {
        let token = self.next();
        let field = match self.entered.tags {
            0 => Field::Vlan,
            1 => Field::InnerVlan,
            _ => {
                let help = "packets has vlan and inner_vlan, the outermost tag and the second one";
                return Err(self.refuse(token, "a third tag within two others is no column", help));
            }
        };
        self.entered.tags += 1;
        self.header(field, 0xfff)
    }

    fn mpls(&mut self) -> Result<Condition, FilterError> {
        let token = self.next();
        if self.entered.labels > 0 {
            let help = "packets has mpls_label, that of the topmost entry";
            return Err(self.refuse(token, "a label below another one is no column", help));
        }
        self.entered.labels += 1;
        self.header(Field::MplsLabel, 0xf_ffff)
    }

    fn session(&mut self) -> Result<Condition, FilterError> {
        let sessions = self.constant(Field::Ethertype, 0x8864);
        let token = self.peek();
        match token.kind {
            Kind::Word(word) if number(word).is_some() => {
                Err(self.refuse(token, "the number of a PPPoE session is no column", "write pppoes alone"))
            }
            _ => Ok(sessions),
        }
    }

    /// A header that is there, with this number if one follows.
    fn header(&mut self, field: Field, max: u64) -> Result<Condition, FilterError> {
        let token = self.peek();
        let Kind::Word(word) = token.kind else { return Ok(Condition::is_not_null(field)) };
        let Some(number) = number(word) else { return Ok(Condition::is_not_null(field)) };
        self.next();
        if number > max {
            return Err(self.refuse(token, format!("{number} is more than {max}"), "write a smaller number"));
        }
        Ok(is(field, Comparison::Equal, number))
    }

    fn length(&mut self, comparison: Comparison) -> Result<Condition, FilterError> {
        self.next();
        let token = self.next();
        let length = match token.kind {
            Kind::Word(word) => number(word),
            Kind::Symbol(_) | Kind::End => None,
        };
        let Some(length) = length else {
            return Err(self.refuse(token, "here a length is missing", "write octets, such as greater 1000"));
        };
        Ok(is(Field::FrameOctets, comparison, length))
    }

    /// `broadcast` or `multicast` of a layer.
    fn many(&mut self, first: Token<'a>, layer: Layer) -> Result<Condition, FilterError> {
        let last = self.next();
        let is_multicast = last.kind == Kind::Word("multicast");
        let refuse = |message: &str, help: &str| Err(self.refuse_all([first, last], message, help));
        let to = |network: IpAddr, bits| Condition::prefix(Field::DstIp, network, bits);
        match (layer, is_multicast) {
            (Layer::Ether, false) => Ok(is(Field::DstMac, Comparison::Equal, 0xffff_ffff_ffff)),
            (Layer::Ether, true) => refuse(
                "one bit of a MAC address cannot be said in columns",
                "write ip multicast or ip6 multicast or broadcast",
            ),
            (Layer::Ip(4), true) => Ok(is_true(vec![to(Ipv4Addr::new(224, 0, 0, 0).into(), 3)])),
            (Layer::Ip(6), true) => Ok(is_true(vec![to(IpAddr::from([0xff00, 0, 0, 0, 0, 0, 0, 0]), 8)])),
            (Layer::Ip(_), _) => refuse(
                "the broadcast address of a network is not known",
                "write the address: dst host 255.255.255.255 or dst host 10.0.0.255",
            ),
            (Layer::Type(_) | Layer::Protocol(..), _) => {
                refuse("only ether, ip and ip6 go to many", "write e.g. udp and ip multicast")
            }
        }
    }

    /// A part that says its layer, its way and its kind, or some of them, or none.
    fn qualified(&mut self) -> Result<Condition, FilterError> {
        let first = self.peek();
        let layer = self.layer();
        if let Some(layer) = layer
            && matches!(self.peek().kind, Kind::Word("broadcast" | "multicast"))
        {
            return self.many(first, layer);
        }
        let way = self.way();
        let kind = self.kind();
        match (layer, way, kind) {
            (Some(layer), None, None) => self.alone(first, layer),
            (None, None, None) => self.bare(first),
            (layer, way, kind) => {
                let qualifiers = Qualifiers { layer, way: way.unwrap_or(Way::Either), kind };
                self.recent = Some((qualifiers, first));
                if self.peek().kind == Kind::Symbol("(") {
                    self.brackets()
                } else {
                    self.id(first, qualifiers)
                }
            }
        }
    }

    fn layer(&mut self) -> Option<Layer> {
        let Kind::Word(word) = self.peek().kind else { return None };
        let layer = names::layer(word)?;
        self.next();
        Some(layer)
    }

    fn way(&mut self) -> Option<Way> {
        let (one, other) = if self.take_word("src") {
            (Way::Source, "dst")
        } else if self.take_word("dst") {
            (Way::Destination, "src")
        } else {
            return None;
        };
        let joined = match self.peek().kind {
            Kind::Word("or") | Kind::Symbol("||") => Way::Either,
            Kind::Word("and") | Kind::Symbol("&&") => Way::Both,
            _ => return Some(one),
        };
        if self.peek_at(1).kind != Kind::Word(other) {
            return Some(one);
        }
        self.next();
        self.next();
        Some(joined)
    }

    fn kind(&mut self) -> Option<What> {
        let kind = match self.peek().kind {
            Kind::Word("host") => What::Host,
            Kind::Word("net") => What::Net,
            Kind::Word("port") => What::Port,
            Kind::Word("portrange") => What::PortRange,
            Kind::Word("proto") => What::Proto,
            _ => return None,
        };
        self.next();
        Some(kind)
    }

    /// A layer with nothing behind it.
    fn alone(&mut self, first: Token<'a>, layer: Layer) -> Result<Condition, FilterError> {
        let next = self.peek();
        let name = self.text_of(first);
        match next.kind {
            Kind::Word("and" | "or") | Kind::Symbol(")" | "&&" | "||") | Kind::End => {}
            Kind::Word(_) | Kind::Symbol(_) => {
                let help =
                    format!("write e.g. {name} port 80, {name} and host 10.0.0.1, or and behind {name}");
                return Err(self.refuse(next, format!("behind `{name}` this says nothing"), help));
            }
        }
        if layer == Layer::Ether {
            let help = "write e.g. ether host 00:11:22:33:44:55 or ether proto 0x0806";
            return Err(self.refuse(first, format!("`{name}` alone is every frame"), help));
        }
        Ok(is_true(vec![of_layer(layer)]))
    }

    /// An address, a port or a number alone is like the one before it; an address that is the first one, a host.
    fn bare(&mut self, first: Token<'a>) -> Result<Condition, FilterError> {
        let Kind::Word(word) = first.kind else {
            return Err(self.refuse(first, "here a part of the filter is missing", "write e.g. port 80"));
        };
        let is_address = word.parse::<IpAddr>().is_ok();
        match self.recent {
            Some((qualifiers, said)) => self.id(said, qualifiers),
            None if is_address => self.id(first, Qualifiers { layer: None, way: Way::Either, kind: None }),
            None => {
                let help = "write host, net, port, proto or a protocol before it, such as tcp port 443";
                Err(self.refuse(first, format!("`{word}` is no word of a filter"), help))
            }
        }
    }

    /// The address, port or number that follows what is said of it from `first` on.
    fn id(&mut self, first: Token<'a>, qualifiers: Qualifiers) -> Result<Condition, FilterError> {
        let token = self.next();
        let Kind::Word(word) = token.kind else {
            let help = "write an address, a port or a number";
            return Err(self.refuse(token, "here something to compare with is missing", help));
        };
        let id = Id { word, tokens: [first, token], qualifiers };
        match qualifiers.kind {
            Some(What::Port) => self.port(id),
            Some(What::PortRange) => self.port_range(id),
            Some(What::Proto) => self.proto(id),
            Some(What::Net) => self.net(id),
            None if self.goes_on_as_net() => self.net(id),
            None | Some(What::Host) => self.host(id),
        }
    }

    fn goes_on_as_net(&self) -> bool {
        matches!(self.peek().kind, Kind::Symbol("/") | Kind::Word("mask"))
    }
}
