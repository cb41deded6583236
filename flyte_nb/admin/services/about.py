"""What the backend says about itself: its version, and how to sign in.

AuthMetadataService answers without a token, as in FlyteAdmin: clients ask it how to get one.
"""

from flyteidl.admin import version_pb2
from flyteidl.service import auth_pb2, identity_pb2

from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.api.version import __version__


class About:
    """Version, sign-in and identity."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """The calls of this service."""
        return {
            "GetVersion": self._version,
            "GetOAuth2Metadata": self._oauth2,
            "GetPublicClientConfig": self._client_config,
            "UserInfo": self._user,
        }

    def _version(self, request: version_pb2.GetVersionRequest) -> version_pb2.GetVersionResponse:
        return version_pb2.GetVersionResponse(
            control_plane_version=version_pb2.Version(
                Version=f"v1.16.8+flyte-nb.{__version__}", Build="flyte-nb", BuildTime=""
            )
        )

    def _oauth2(self, request: auth_pb2.OAuth2MetadataRequest) -> auth_pb2.OAuth2MetadataResponse:
        # There is no authorization server: the token lies in a file, authType is ExternalCommand.
        return auth_pb2.OAuth2MetadataResponse()

    def _client_config(
        self, request: auth_pb2.PublicClientAuthConfigRequest
    ) -> auth_pb2.PublicClientAuthConfigResponse:
        return auth_pb2.PublicClientAuthConfigResponse(
            client_id="flyte-nb", authorization_metadata_key="authorization"
        )

    def _user(self, request: identity_pb2.UserInfoRequest) -> identity_pb2.UserInfoResponse:
        return identity_pb2.UserInfoResponse(
            subject=self._parts.principal,
            name=self._parts.principal,
            preferred_username=self._parts.principal,
        )
