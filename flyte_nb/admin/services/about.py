"""Answer which version the backend has, how to sign in, and who calls.

AuthMetadataService needs no token, as in FlyteAdmin: clients ask it how to get one.
"""

from flyteidl.admin import version_pb2
from flyteidl.service import auth_pb2, identity_pb2

from flyte_nb.admin.service_parts import Parts, Rpcs
from flyte_nb.api.version import __version__


class About:
    """Serve the calls on version, sign-in and identity."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def rpcs(self) -> Rpcs:
        """Return the calls of this service by name."""
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
        # Empty, because there is no authorization server: clients read the token from a file, with
        # authType ExternalCommand.
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
