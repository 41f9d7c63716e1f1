// One sign-in at the OAuth server of a running world, with openid-client, which the OpenID Foundation has certified as a FAPI 2.0 client:
//
//   node examples/openid-client/flow.mjs .world/world.json commercial
//
// It runs in the project's folder, where the relative paths of world.json start. It prints the address that a browser has to open, reads the
// address to which that browser was led back, and prints what came of it, each a line of JSON.
import { createInterface } from 'node:readline/promises'
import { readFileSync } from 'node:fs'
import https from 'node:https'
import * as client from 'openid-client'

const [worldFile, clientID] = process.argv.slice(2)
const world = JSON.parse(readFileSync(worldFile, 'utf8'))
const own = world.clients[clientID]
const ca = readFileSync(world.ca)

// worldFetch trusts the world's CA alone, and dials where the world says: names below .localhost are not known to every resolver.
function worldFetch(address, options) {
  const url = new URL(address)
  const [host, port] = (world.connect[url.host] ?? `${url.hostname}:${url.port || 443}`).split(':')
  const headers = { ...Object.fromEntries(new Headers(options.headers)), host: url.host }
  const request = { host, port, ca, servername: url.hostname, method: options.method, path: url.pathname + url.search, headers, signal: options.signal }
  return new Promise((resolve, reject) => {
    https.request(request, (answer) => {
      const chunks = []
      answer.on('data', (chunk) => chunks.push(chunk)).on('error', reject).on('end', () => {
        const body = Buffer.concat(chunks)
        resolve(new Response(body.length ? body : null, { status: answer.statusCode, headers: flat(answer.headersDistinct) }))
      })
    }).on('error', reject).end(options.body?.toString())
  })
}

const flat = (distinct) => Object.entries(distinct).flatMap(([name, values]) => values.map((value) => [name, value]))

const [jwk] = JSON.parse(readFileSync(own.jwks_private, 'utf8')).keys
const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const config = await client.discovery(new URL(world.issuer), clientID, { id_token_signed_response_alg: 'ES256' },
  client.PrivateKeyJwt({ key, kid: jwk.kid }), { [client.customFetch]: worldFetch })
client.enableNonRepudiationChecks(config) // the ID token's signature, though it comes over TLS from the issuer

const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
const verifier = client.randomPKCECodeVerifier()
const [state, nonce, maxAge] = [client.randomState(), client.randomNonce(), 300]
const authorization = await client.buildAuthorizationUrlWithPAR(config, {
  redirect_uri: own.redirect_uris[0], scope: 'openid', state, nonce, max_age: String(maxAge),
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
}, { DPoP })
console.log(JSON.stringify({ authorization_url: authorization.href }))

const input = createInterface({ input: process.stdin })
const callback = (await input[Symbol.asyncIterator]().next()).value
input.close()

const tokens = await client.authorizationCodeGrant(config, new URL(callback), {
  pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge, idTokenExpected: true,
}, undefined, { DPoP })

// session asks the session resource: the answer while the session lives, else the status.
async function session() {
  try {
    const answer = await client.fetchProtectedResource(config, tokens.access_token, new URL(`${world.issuer}/oauth2/session`), 'GET', undefined, undefined, { DPoP })
    return answer.ok ? await answer.json() : answer.status
  } catch (fault) {
    if (fault instanceof client.WWWAuthenticateChallengeError) return fault.status
    throw fault
  }
}

const before = await session()
await client.tokenRevocation(config, tokens.access_token)
console.log(JSON.stringify({ token_type: tokens.token_type, claims: tokens.claims(), session: before, revoked: await session() }))
