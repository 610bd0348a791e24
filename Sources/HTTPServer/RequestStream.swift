/// A body that is taken in pieces while it arrives: made by `Route.Stream`, for one request.
///
/// Who takes it may hold it back: then the connection is suspended, the client's side fills up and
/// stops sending, and no time-out runs. Unheld, a client that sends no byte for
/// `HTTPServerSettings.bodyTimeout` is cut; one that sends slowly is not. A client that closes its
/// side while it is held has what it sent taken all the same, which is at most what the kernel
/// holds: only so its end is seen.
///
/// All calls are made on the server's thread; the closures are called there, from within
/// `HTTPServer.run(at:)` or `stop()`. They may call any method of this stream.
public final class RequestStream {
  private enum State {
    case wanted
    case refused(HTTPResponse)
    case ended
  }

  private var state = State.wanted
  /// As long as the request lasts.
  private unowned(unsafe) var connection: Connection?
  /// Bytes that came after it was refused.
  private var bytesRefused = 0

  /// Whether no piece is handed over.
  public private(set) var isHeld = false
  /// Called with each piece, in order; the bytes are valid during the call only.
  public var onPiece: ((UnsafeRawBufferPointer) -> Void)?
  /// Called once when the whole body was taken; answers as a route's action does.
  public var onEnd: ((_ later: () -> PendingResponse) -> HTTPAnswer)?
  /// Called once when the rest of the body will not come: the client left or was cut, or the server
  /// stops.
  public var onBroken: (() -> Void)?

  /// A body of which nothing was taken yet.
  public init() {}

  /// Has no more pieces handed over until `resume`.
  public func hold() {
    guard !isHeld else { return }
    isHeld = true
    connection?.server.bodyHeld(of: connection)
  }

  /// Has pieces handed over again.
  public func resume() {
    guard isHeld else { return }
    isHeld = false
    connection?.server.bodyWanted(of: connection)
  }

  /// Answers now; the rest of the body is not wanted. Up to `bodyBytesMax` of it is still read, so
  /// that the client is likely to see the answer; then it is cut. No closure is called any more.
  public func refuse(with response: HTTPResponse) {
    guard case .wanted = state else { return response.discard() }
    state = .refused(response)
    letGo()
    resume()
  }

  // MARK: The server's side

  /// The answer that was given before the end of the body.
  var refusal: HTTPResponse? {
    if case .refused(let response) = state { return response }
    return nil
  }

  func attach(to connection: Connection) {
    self.connection = connection
  }

  /// Takes a piece. False: the client has sent more of what nobody wants than it may.
  func take(_ bytes: UnsafeRawBufferPointer, refusedMax: Int) -> Bool {
    if case .wanted = state {
      onPiece?(bytes)
      return true
    }
    bytesRefused += bytes.count
    return bytesRefused <= refusedMax
  }

  /// The body is whole.
  func finish(_ later: () -> PendingResponse) -> HTTPAnswer {
    let end = onEnd
    connection = nil
    if case .refused(let response) = state {
      state = .ended
      return .now(response)
    }
    state = .ended
    letGo()
    return end?(later) ?? .now(.empty())
  }

  /// The request is over.
  func close() {
    connection = nil
    let told = onBroken
    if case .refused(let response) = state { response.discard() }
    guard case .wanted = state else {
      state = .ended
      return
    }
    state = .ended
    letGo()
    told?()
  }

  private func letGo() {
    onPiece = nil
    onEnd = nil
    onBroken = nil
  }
}
