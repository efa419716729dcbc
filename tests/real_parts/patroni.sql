-- What the service needs of a new cluster: run once by Patroni, as the superuser.
\getenv password BEEFIRST_PASSWORD
CREATE ROLE beefirst LOGIN PASSWORD :'password';
CREATE DATABASE beefirst OWNER beefirst;
