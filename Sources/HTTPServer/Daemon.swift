import CMicroHTTPD
import Glibc

/// A daemon of libmicrohttpd, without threads and without a listening socket of its own, and the
/// four places where it calls us.
final class Daemon {
  private let handle: OpaquePointer

  /// Connections that it has now.
  var connectionCount = 0
  /// Runs in which it had nothing to tell and asked to be run again at once, one after the other.
  var quietRuns = 0
  /// Its descriptor is readable, or a connection that is not suspended may have got an answer.
  var isReady = false
  /// Set while nothing but answers that are owed keeps it from rest: when those connections are
  /// parked. Until then it is run only if something happens.
  var parksAt: UInt64?
  /// The earliest moment since which an answer is owed that it has asked for in the present run.
  var owedSince: UInt64?
  /// How often it has read of streams in the present turn: there may be more to send at once.
  var reads = 0
  /// A connection was resumed, of which libmicrohttpd learns only when it runs.
  var hasResumed = false

  /// libmicrohttpd's epoll descriptor; readable when `run` has something to do.
  var descriptor: Int32 { mhd_epoll_fd(handle) }

  /// `nil` when libmicrohttpd cannot (memory, descriptors). `server` must stay until `stop` has
  /// returned.
  init?(settings: HTTPServerSettings, server: HTTPServer) {
    var setup = mhd_setup()
    setup.flags =
      UInt32(MHD_USE_EPOLL.rawValue) | UInt32(MHD_ALLOW_SUSPEND_RESUME.rawValue)
      | UInt32(MHD_USE_NO_LISTEN_SOCKET.rawValue)
    setup.connections_max = UInt32(HTTPServer.connectionsPerDaemonMax)
    setup.connection_memory_bytes = max(4_096, settings.headerBytesMax * 2)
    let idleSeconds = max(1, Int(settings.idleTimeout.nanoseconds / 1_000_000_000))
    setup.idle_seconds = UInt32(clamping: idleSeconds)
    setup.context = Unmanaged.passUnretained(server).toOpaque()
    setup.on_connection = { context, handle, kept, code in
      guard let context, let handle, let kept else { return }
      if code == .CONNECTION_NOTIFY_STARTED {
        let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
        kept.pointee = Unmanaged.passRetained(server.opened(handle)).toOpaque()
      } else if let held = kept.pointee {
        kept.pointee = nil
        let connection = Unmanaged<Connection>.fromOpaque(held).takeRetainedValue()
        connection.server.closed(connection)
      }
    }
    setup.on_target = { _, target, handle in
      guard let handle, let held = mhd_connection_context(handle) else { return nil }
      // The daemon holds it, so that it need not be held here; the same below.
      Unmanaged<Connection>.fromOpaque(held)._withUnsafeGuaranteedRef { connection in
        connection.server.began(connection, target: target.map { UnsafeRawPointer($0).asBytes })
      }
      mhd_hide_query(target)
      return held
    }
    setup.on_request = { _, _, _, method, version, bytes, count, held in
      guard let held = held?.pointee, let method, let version, let count else { return .NO }
      return Unmanaged<Connection>.fromOpaque(held)._withUnsafeGuaranteedRef { connection in
        connection.server.advanced(
          connection, method: method, version: version,
          bytes: UnsafeRawBufferPointer(start: bytes, count: count.pointee), &count.pointee)
      }
    }
    setup.on_completed = { _, _, held, code in
      guard let pointer = held?.pointee else { return }
      held?.pointee = nil
      Unmanaged<Connection>.fromOpaque(pointer)._withUnsafeGuaranteedRef { connection in
        connection.server.completed(
          connection, isDelivered: code == .REQUEST_TERMINATED_COMPLETED_OK)
      }
    }
    guard let handle = mhd_start(&setup) else { return nil }
    self.handle = handle
  }

  /// Gives it an accepted connection, which it closes by itself, also when it cannot take it.
  func add(_ descriptor: Int32) {
    MHD_add_connection(handle, descriptor, nil, 0)
    // Its request may be there already, and then nothing tells of it before the next wait.
    isReady = true
  }

  /// Does what is ready, without blocking.
  func run() { MHD_run(handle) }

  /// Closes a connection that was suspended, although libmicrohttpd may not look at it any more.
  func cut(_ connection: Connection) {
    MHD_resume_connection(connection.handle)
    mhd_watch_again(handle, connection.handle, connection.descriptor)
    shutdown(connection.descriptor, Int32(SHUT_RDWR))
  }

  /// Milliseconds until `run` must be called in any case, 0 for at once; `nil` for never.
  func timeout() -> UInt64? {
    var milliseconds: UInt64 = 0
    return MHD_get_timeout(handle, &milliseconds) == .YES ? milliseconds : nil
  }

  /// Closes all connections. With one suspended it would abort the process.
  func stop() { MHD_stop_daemon(handle) }
}
