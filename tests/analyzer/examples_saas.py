"""Error texts and tasks by the technology that they are about: services on the web, browsers, files."""

EXAMPLES: dict[str, str] = {
    "slack": "chat.postMessage answers not_in_channel for the release bot",
    "jira": "Error in the JQL Query: The character '!' is a reserved JQL character",
    "confluence": "PUT /wiki/rest/api/content/123 says: Version must be incremented on update. Current version is: 4",
    "linear": "LinearError: Entity not found: Issue - Could not find referenced Issue.",
    "notion": "Could not find database with ID: 3c1e. Make sure the relevant pages and databases are shared with "
    "your integration.",
    "asana": "List my overdue Asana tasks and group them by section",
    "stripe": "No such customer: 'cus_9f'; a similar object exists in test mode, but a live mode key was used",
    "twilio": "21608: The number +1555 is unverified. Trial accounts cannot send messages to unverified numbers",
    "sendgrid": "403 The from address does not match a verified Sender Identity. Mail cannot be sent until this "
    "error is resolved.",
    "shopify": "[API] Invalid API key or access token (unrecognized login or wrong password) at mugs.myshopify.com",
    "salesforce": "System.LimitException: Too many SOQL queries: 101",
    "hubspot": "This app hasn't been granted all required scopes to make this call at api.hubapi.com",
    "figma": 'Error: in set_characters: Cannot write to node with unloaded font "Inter Regular"',
    "minio": "XMinioServerNotInitialized: Server not initialized yet, please try again.",
    "keycloak": 'type="LOGIN_ERROR", realmId="shop", error="user_not_found", Invalid parameter: redirect_uri',
    "okta": '{"errorCode": "E0000001", "errorSummary": "Api validation failed: login"}',
    "auth0": "Callback URL mismatch. The provided redirect_uri is not in the list of allowed callback URLs",
    "playwright": "strict mode violation: getByRole('button') resolved to 2 elements",
    "selenium": "NoSuchElementException: no such element: Unable to locate element: #login",
    "chrome": "Access to fetch at 'https://api.shop.test' from origin 'http://localhost:3000' has been blocked by "
    "CORS policy",
    "filesystem": "Please list all files in my downloads folder that are larger than 100 MB",
    "fetch": "Fetch https://example.org/changelog and summarize what is new",
    "time": "What time is it in Lisbon when it is 9:00 in Seoul?",
}
