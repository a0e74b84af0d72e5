//! The 32-byte header, its tag, the key ring, the policy and the decision.
