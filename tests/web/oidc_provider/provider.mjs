// An identity provider on loopback for the sign-in tests: real protocol, invented people.
//
// `node provider.mjs '{"client_id": ..., "client_secret": ..., "redirect_uri": ..., "people": {...}}'`
// prints one line with its address once it listens, and ends when its standard input does. Whoever
// gives the name of a person on its sign-in form is that person; passwords are not looked at.
import { createServer } from "node:http";
import process from "node:process";

import Provider from "oidc-provider";

const wanted = JSON.parse(process.argv[2]);

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const address = `http://127.0.0.1:${server.address().port}`;

const client = {
  client_id: wanted.client_id,
  redirect_uris: [wanted.redirect_uri],
  post_logout_redirect_uris: [wanted.left_uri],
  response_types: ["code"],
  grant_types: ["authorization_code"],
  ...(wanted.signed_userinfo ? { userinfo_signed_response_alg: "RS256" } : {}),
  ...(wanted.client_secret
    ? {
        client_secret: wanted.client_secret,
        token_endpoint_auth_method: wanted.auth_method ?? "client_secret_basic",
      }
    : { token_endpoint_auth_method: "none" }),
};

const provider = new Provider(address, {
  clients: [client],
  // With it claims of scopes are told by the userinfo endpoint alone, as the specification says.
  conformIdTokenClaims: wanted.conform ?? false,
  claims: { openid: ["sub"], profile: ["name", "groups", "preferred_username"] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true },
    jwtUserinfo: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  cookies: { keys: ["only for tests"] },
  clientAuthMethods: wanted.auth_methods ?? ["client_secret_basic", "client_secret_post", "none"],
  findAccount: (_context, sub) =>
    wanted.people[sub] && {
      accountId: sub,
      claims: () => ({ sub, ...wanted.people[sub] }),
    },
});

server.on("request", provider.callback());
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
process.stdout.write(`${address}\n`);
