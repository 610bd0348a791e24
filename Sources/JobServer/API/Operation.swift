import HTTPServer

/// One operation of the API: a method on a path, its name in `openapi.yaml` and in the metrics, and
/// what a server does about it, which may refuse by a problem.
struct Operation {
  /// What is done; as `Route.Action`, with the server that does it.
  typealias Action = (Server, inout HTTPRequest, () -> PendingResponse) throws(Problem) ->
    HTTPAnswer

  let method: HTTPMethod
  let template: String
  /// The `operationId` in `openapi.yaml`.
  let name: String
  /// Whether it answers without a token, too.
  let isPublic: Bool
  let action: Action
  /// Who takes bodies in pieces; nil: nobody.
  private(set) var stream: ((Server, HTTPRequest) -> RequestStream?)?

  init(
    _ method: HTTPMethod, _ template: String, _ name: String, isPublic: Bool = false,
    _ action: @escaping Action
  ) {
    self.method = method
    self.template = template
    self.name = name
    self.isPublic = isPublic
    self.action = action
    stream = nil
  }

  /// The same, with somebody who takes bodies in pieces.
  func taking(_ stream: @escaping (Server, HTTPRequest) -> RequestStream?) -> Operation {
    var operation = self
    operation.stream = stream
    return operation
  }

  /// Every operation; a test holds this list against `openapi.yaml`.
  static var all: [Operation] {
    Server.jobOperations + Server.mapOperations + Server.poolOperations + Server.serviceOperations
  }
}

extension Server {
  /// Every operation as a route of this server, which must outlive the router.
  func allRoutes() -> [Route] {
    Operation.all.map { operation in
      let stream = operation.stream.map { stream in
        { [unowned self] (request: HTTPRequest) in stream(self, request) }
      }
      return Route(operation.method, operation.template, name: operation.name, stream: stream) {
        [unowned self] request, later in
        do throws(Problem) {
          return try operation.action(self, &request, later)
        } catch {
          return refuse(error, later)
        }
      }
    }
  }
}
