/// An answer that is owed: taken in a route's action, resumed exactly once, later, on the server's
/// thread.
///
/// It may outlive its connection and its server: to resume it is then of no effect, but that a
/// stream given as the body is closed. Resuming twice
/// is a programmer error. When the last reference goes without an answer, the client is told 500.
public final class PendingResponse {
  private enum State { case owed, resumed, ended }

  private var state = State.owed
  /// Set as long as the answer is owed.
  private var connection: Connection?
  /// Who receives the answer in the place of a connection.
  private var receive: ((HTTPResponse?) -> Void)?

  /// The client has gone, or has at least closed its sending side.
  ///
  /// TCP does not tell the two apart: `close` and a half-close (`nc -N`) both send a FIN. So after
  /// a FIN the answer is still owed and may be resumed: a client that half-closed reads it, and for
  /// one that left it is lost without harm. After a reset nothing is owed any more. Noticed only
  /// once an answer has been owed for `HTTPServerSettings.watchDelay`.
  public private(set) var isAbandoned = false

  /// Called at most once, when `isAbandoned` becomes true, from within `HTTPServer.run(at:)`. Set
  /// when it is true already, it is not called.
  public var onAbandoned: (() -> Void)?

  /// A response that is owed to nobody, for the tests of what stands behind the routes.
  public init() {}

  /// A response that is owed to whoever gives the closure, for the same tests: it is called once,
  /// with the answer, or with nil when the last reference has gone without one.
  public init(receive: @escaping (HTTPResponse?) -> Void) {
    self.receive = receive
  }

  init(connection: Connection) {
    self.connection = connection
  }

  deinit {
    if let connection { connection.server.settleLost(connection) }
    if let receive { receive(nil) }
  }

  /// Gives the answer. It goes out with the next `HTTPServer.run(at:)`; `nextDeadline` asks for
  /// that to be at once.
  public func resume(with response: consuming HTTPResponse) {
    precondition(state != .resumed, "a pending response is resumed once")
    guard state == .owed, let connection else {
      if let receive = receive.take() {
        state = .resumed
        onAbandoned = nil
        return receive(response)
      }
      response.discard()
      return
    }
    state = .resumed
    self.connection = nil
    onAbandoned = nil
    connection.server.settle(connection, with: consume response)
  }

  /// Nothing is owed any more: answered by the server itself.
  func end() {
    state = .ended
    connection = nil
    onAbandoned = nil
  }

  /// The client closed its side; the answer is still owed.
  func abandon() {
    guard !isAbandoned else { return }
    isAbandoned = true
    let told = onAbandoned
    onAbandoned = nil
    told?()
  }

  /// The connection is gone: nothing is owed any more.
  func lose() {
    state = .ended
    connection = nil
    abandon()
  }
}
