//! The calls of the interface, as metrics and routes name them.
//!
//! * Every path and method that is served is one of these; `openapi.json` describes each.

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `POST /v1/capabilities`
    Capabilities,
    /// `POST /v1/devices`
    Devices,
    /// `POST /v1/challenge`
    Challenge,
    /// `POST /v1/login`
    Login,
    /// `POST /v1/refresh`
    Refresh,
    /// `GET /v1/profile`
    Profile,
    /// `POST /v1/logout`
    Logout,
    /// `PUT /v1/buddies/{account}`
    Ask,
    /// `DELETE /v1/buddies/{account}`
    End,
    /// `PUT /v1/privacy`
    Privacy,
    /// `POST /v1/revocations`
    Revocations,
    /// `GET /v1/openapi.json`
    OpenApi,
    /// Anything else.
    Other,
}

impl Call {
    /// Every call.
    pub const ALL: [Self; 13] = [
        Self::Capabilities,
        Self::Devices,
        Self::Challenge,
        Self::Login,
        Self::Refresh,
        Self::Profile,
        Self::Logout,
        Self::Ask,
        Self::End,
        Self::Privacy,
        Self::Revocations,
        Self::OpenApi,
        Self::Other,
    ];

    /// The word of metrics and of the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Devices => "devices",
            Self::Challenge => "challenge",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Profile => "profile",
            Self::Logout => "logout",
            Self::Ask => "ask",
            Self::End => "end",
            Self::Privacy => "privacy",
            Self::Revocations => "revocations",
            Self::OpenApi => "openapi",
            Self::Other => "other",
        }
    }
}
