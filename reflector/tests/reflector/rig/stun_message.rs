//! STUN messages, made and read by a codec that shares nothing with the reflector's.
//!
//! * An answer is taken only if it is one whole message of that codec, with a right FINGERPRINT if it has one.

use bytecodec::{DecodeExt, EncodeExt};
use std::net::SocketAddr;
use stun_codec::rfc5389::attributes::{
    ErrorCode, Fingerprint, MappedAddress, Software, UnknownAttributes, XorMappedAddress,
};
use stun_codec::rfc5389::methods::BINDING;
use stun_codec::rfc5780::attributes::{ChangeRequest, OtherAddress, ResponseOrigin, ResponsePort};
use stun_codec::{
    Message, MessageClass, MessageDecoder, MessageEncoder, TransactionId, define_attribute_enums,
};

define_attribute_enums!(
    Attribute,
    AttributeDecoder,
    AttributeEncoder,
    [
        ErrorCode,
        Fingerprint,
        MappedAddress,
        Software,
        UnknownAttributes,
        XorMappedAddress,
        ChangeRequest,
        OtherAddress,
        ResponseOrigin,
        ResponsePort
    ]
);

/// A Binding request with these attributes, and FINGERPRINT if wanted.
pub(crate) fn request(transaction: [u8; 12], attributes: Vec<Attribute>, fingerprint: bool) -> Vec<u8> {
    message(MessageClass::Request, transaction, attributes, fingerprint)
}

/// A Binding message of any class.
pub(crate) fn message(
    class: MessageClass,
    transaction: [u8; 12],
    attributes: Vec<Attribute>,
    fingerprint: bool,
) -> Vec<u8> {
    let mut message = Message::<Attribute>::new(class, BINDING, TransactionId::new(transaction));
    attributes.into_iter().for_each(|attribute| message.add_attribute(attribute));
    if fingerprint {
        message.add_attribute(Fingerprint::new(&message).unwrap());
    }
    MessageEncoder::new().encode_into_bytes(message).unwrap()
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) transaction: [u8; 12],
    pub(crate) xor_mapped: Option<SocketAddr>,
    pub(crate) mapped: Option<SocketAddr>,
    pub(crate) origin: Option<SocketAddr>,
    pub(crate) other: Option<SocketAddr>,
    pub(crate) fingerprint: bool,
    /// The error's code, and the types that it names.
    pub(crate) error: Option<(u16, Vec<u16>)>,
}

impl Answer {
    /// Reads an answer; every attribute must be one that is known here, and none may come twice.
    pub(crate) fn read(datagram: &[u8]) -> Self {
        let message = MessageDecoder::<Attribute>::new().decode_from_bytes(datagram).unwrap().unwrap();
        assert_eq!(message.method(), BINDING);
        assert_eq!(message.unknown_attributes().count(), 0);
        let said = |it: Option<SocketAddr>| usize::from(it.is_some());
        let code = message.get_attribute::<ErrorCode>().map(ErrorCode::code);
        let unknown = message.get_attribute::<UnknownAttributes>();
        let kinds = unknown.map(|it| it.unknowns().iter().map(|kind| kind.as_u16()).collect());
        let answer = Self {
            transaction: *message.transaction_id().as_bytes(),
            xor_mapped: message.get_attribute::<XorMappedAddress>().map(XorMappedAddress::address),
            mapped: message.get_attribute::<MappedAddress>().map(MappedAddress::address),
            origin: message.get_attribute::<ResponseOrigin>().map(ResponseOrigin::address),
            other: message.get_attribute::<OtherAddress>().map(OtherAddress::address),
            fingerprint: message.get_attribute::<Fingerprint>().is_some(),
            error: code.zip(kinds),
        };
        let addresses = [answer.xor_mapped, answer.mapped, answer.origin, answer.other].map(said);
        let rest = usize::from(answer.fingerprint) + 2 * usize::from(answer.error.is_some());
        assert_eq!(message.attributes().count(), addresses.iter().sum::<usize>() + rest, "{message:?}");
        let class =
            if answer.error.is_some() { MessageClass::ErrorResponse } else { MessageClass::SuccessResponse };
        assert_eq!(message.class(), class);
        answer
    }
}
