//! The one call of Arrow Flight that links are made of, `DoExchange`, as its protobuf has it.
//!
//! Four fields of two messages are all that it takes, so they stand here: the crate that has all of Flight brings
//! Arrow's arrays along, which nothing here looks at. Whatever understands Flight understands these frames.

use bytes::Bytes;
use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Where a Flight server answers it.
pub(crate) const DO_EXCHANGE: &str = "/arrow.flight.protocol.FlightService/DoExchange";
/// What our exchanges are called, as Flight names things by paths.
const PATH: [&str; 2] = ["tapline", "forward"];
/// A descriptor that is a path.
const IS_PATH: i32 = 1;

/// `FlightData` of Flight.proto.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FlightData {
    /// What the exchange is about, in its first frame.
    #[prost(message, optional, tag = "1")]
    pub(crate) flight_descriptor: Option<FlightDescriptor>,
    /// A message of Arrow IPC, in whose place there is nothing here.
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data_header: Bytes,
    /// The head of a message.
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) app_metadata: Bytes,
    /// Its payload.
    #[prost(bytes = "bytes", tag = "1000")]
    pub(crate) data_body: Bytes,
}

/// `FlightDescriptor` of Flight.proto.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FlightDescriptor {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "bytes", tag = "2")]
    cmd: Bytes,
    #[prost(string, repeated, tag = "3")]
    path: Vec<String>,
}

impl FlightDescriptor {
    /// That of our exchanges.
    pub(crate) fn ours() -> Self {
        Self { kind: IS_PATH, cmd: Bytes::new(), path: PATH.map(str::to_owned).to_vec() }
    }
}

/// Frames as protobuf.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FlightCodec;

impl Codec for FlightCodec {
    type Encode = FlightData;
    type Decode = FlightData;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for FlightCodec {
    type Item = FlightData;
    type Error = Status;

    fn encode(&mut self, item: FlightData, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for FlightCodec {
    type Item = FlightData;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<FlightData>, Status> {
        let decoded = FlightData::decode(from);
        decoded.map(Some).map_err(|error| Status::invalid_argument(format!("it is no FlightData: {error}")))
    }
}
