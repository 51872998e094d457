// The stub resolver of Java: prints the addresses of args[0], one a line; exits 1 on failure.
import java.net.InetAddress;
import java.net.UnknownHostException;

public class Lookup {
  public static void main(String[] args) {
    try {
      for (InetAddress address : InetAddress.getAllByName(args[0])) {
        System.out.println(address.getHostAddress());
      }
    } catch (UnknownHostException failure) {
      System.err.println(failure);
      System.exit(1);
    }
  }
}
