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
    /// `GET /v1/openapi.json`
    OpenApi,
    /// Anything else.
    Other,
}

impl Call {
    /// Every call.
    pub const ALL: [Call; 11] = [
        Call::Capabilities,
        Call::Devices,
        Call::Challenge,
        Call::Login,
        Call::Refresh,
        Call::Profile,
        Call::Logout,
        Call::Ask,
        Call::End,
        Call::OpenApi,
        Call::Other,
    ];

    /// The word of metrics and of the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Call::Capabilities => "capabilities",
            Call::Devices => "devices",
            Call::Challenge => "challenge",
            Call::Login => "login",
            Call::Refresh => "refresh",
            Call::Profile => "profile",
            Call::Logout => "logout",
            Call::Ask => "ask",
            Call::End => "end",
            Call::OpenApi => "openapi",
            Call::Other => "other",
        }
    }
}
